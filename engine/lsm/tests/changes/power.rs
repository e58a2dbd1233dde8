//! Power is lost at every call to the disk, and again while the store recovers.

use crate::world::{ALL, FOR_CONSUMERS, LITTLE, World};
use esker::fs::SimFs;
use esker::fs::sim::{Image, Phase};
use esker::{FeedOptions, Result};

/// What is done while power may be lost.
fn go_on(world: &mut World) -> Result<()> {
    world.open()?;
    for round in 0..3 {
        for _ in 0..25 {
            world.step()?;
        }
        world.read(usize::MAX)?;
        if world.acknowledged.is_some() {
            world.acknowledge()?;
        }
        if round == 1 {
            world.close()?;
            world.open()?;
        }
    }
    world.db().flush()?;
    world.read(usize::MAX)
}

fn begun(options: FeedOptions, consumer: bool) -> Result<World> {
    let mut world = World::new(5, options);
    world.open()?;
    if consumer {
        world.acknowledge()?;
    }
    (0..60).try_for_each(|_| world.step())?;
    world.read(usize::MAX)?;
    Ok(world)
}

/// Goes on after a loss of power with a reader that is where it was.
fn check(world: &mut World, left: SimFs, consumer: bool, at: u64) -> Result<()> {
    world.recover(left)?;
    world.read(usize::MAX)?;
    (0..5).try_for_each(|_| world.write())?;
    world.db().sync()?;
    world.read(usize::MAX)?;
    assert_eq!(world.seen, world.written.len(), "call {at}, consumer: {consumer}");
    assert!(world.gaps == 0 || world.options == LITTLE, "call {at}, consumer: {consumer}");
    assert!(world.db().verify()?.problems.is_empty());
    Ok(())
}

fn everywhere(options: FeedOptions, consumer: bool, every: usize) -> Result<u64> {
    let first = begun(options, consumer)?;
    let original = first.disk.kill_image();
    let mut probe = first.moved(original.kill_image(), 9);
    go_on(&mut probe)?;
    let calls = probe.disk.stats().total();
    let mut tried = 0;
    for at in (0..calls).step_by(every) {
        for image in [Image::Nothing, Image::LaterKept, Image::Torn] {
            let mut world = first.moved(original.kill_image(), 9);
            world.disk.crash_at(at, if at % 2 == 0 { Phase::After } else { Phase::Before });
            let _ = go_on(&mut world);
            let left = world.disk.image(image, at);
            // Once more, while what is left is opened.
            if at % 3 == 0 {
                let second = left.kill_image();
                second.crash_at(at % 40, Phase::After);
                let mut opening = world.moved(second, at);
                let _ = opening.open();
                let left = opening.disk.image(image, at + 1);
                drop(opening);
                check(&mut world, left, consumer, at)?;
            } else {
                check(&mut world, left, consumer, at)?;
            }
            tried += 1;
        }
    }
    println!("figure: {tried} losses of power amid {calls} calls");
    Ok(tried)
}

#[test]
fn a_reader_goes_on_after_a_loss_of_power_at_any_call() -> Result<()> {
    assert!(everywhere(ALL, false, 3)? > 300);
    Ok(())
}

#[test]
fn a_named_consumer_goes_on_after_a_loss_of_power_at_any_call() -> Result<()> {
    assert!(everywhere(FOR_CONSUMERS, true, 5)? > 200);
    Ok(())
}

/// The manifest names no segment that is gone, and a reader who has missed something is told.
#[test]
fn little_is_kept_over_a_loss_of_power_at_any_call() -> Result<()> {
    assert!(everywhere(LITTLE, false, 5)? > 200);
    Ok(())
}

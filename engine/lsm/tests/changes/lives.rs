//! Many lives of a store, each ended by a close or a loss of power, with a reader that goes on where it was.

use crate::world::{ALL, FOR_CONSUMERS, LITTLE, World};
use esker::fs::sim::Image;
use esker::{FeedOptions, Result};

/// Returns the world, and how often power was lost.
fn live(seed: u64, options: FeedOptions, consumer: bool) -> Result<(World, u64)> {
    let (mut world, mut losses) = (World::new(seed, options), 0);
    world.open()?;
    if consumer {
        world.acknowledge()?;
    }
    for step in 0..3_000 {
        match world.random.below(60) {
            0 => {
                world.close()?;
                world.open()?;
            }
            1 => {
                let image = Image::ALL[world.random.below(Image::ALL.len() as u64) as usize];
                world.lose(image, step)?;
                losses += 1;
            }
            2 => {
                let left = world.disk.kill_image();
                world.recover(left)?;
            }
            _ => world.step()?,
        }
    }
    world.db().sync()?;
    world.read(usize::MAX)?;
    assert!(world.db().verify()?.problems.is_empty());
    Ok((world, losses))
}

#[test]
fn a_reader_is_shown_everything_once_and_in_order_over_many_lives() -> Result<()> {
    for seed in 0..6 {
        let (world, losses) = live(seed, ALL, false)?;
        assert_eq!(world.gaps, 0, "everything is kept");
        assert_eq!(world.seen, world.written.len());
        println!("figure: {} batches shown over {losses} losses of power", world.shown);
        assert!(world.shown > 500 && losses > 10);
    }
    Ok(())
}

#[test]
fn a_reader_that_falls_behind_is_told_of_each_gap() -> Result<()> {
    let (mut gaps, mut shown) = (0, 0);
    for seed in 10..16 {
        let (world, _) = live(seed, LITTLE, false)?;
        (gaps, shown) = (gaps + world.gaps, shown + world.shown);
    }
    println!("figure: {shown} batches shown, {gaps} gaps");
    assert!(gaps > 20 && shown > 1_000, "{gaps} gaps, {shown} batches");
    Ok(())
}

#[test]
fn nothing_goes_that_a_named_consumer_has_yet_to_read() -> Result<()> {
    for seed in 20..26 {
        let (world, losses) = live(seed, FOR_CONSUMERS, true)?;
        assert_eq!((world.gaps, world.seen), (0, world.written.len()));
        assert!(world.shown > 500 && losses > 10);
    }
    Ok(())
}

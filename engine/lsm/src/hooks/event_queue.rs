//! Events on their way to those who listen.

use super::event_listener::EventListener;
use super::events::{Event, EventsDropped};
use crate::base::clock::Clock;
use crate::base::panics::catch;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;

/// So many events wait at most.
pub const MOST_EVENTS: usize = 4096;

/// The listeners of a store, and what they have yet to be told.
#[derive(Default)]
pub struct Events {
    listeners: Vec<Arc<dyn EventListener>>,
    clock: Clock,
    state: Mutex<Waiting>,
    arrived: Condvar,
    panicked: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// What is missing behind them.
    gap: Option<EventsDropped>,
    dropped: u64,
    /// Whether somebody is telling them: one at a time, so that they keep their order.
    telling: bool,
    stopping: bool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

impl Events {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(listeners: Vec<Arc<dyn EventListener>>, clock: Clock) -> Events {
        Events { listeners, clock, ..Events::default() }
    }

    /// Puts an event on its way, if anybody listens; `event` is given the time. May be called under any lock:
    /// it waits for nobody.
    #[inline]
    pub fn emit(&self, event: impl FnOnce(u64) -> Event) {
        if self.wanted() {
            self.emit_wanted(event);
        }
    }

    #[cold]
    fn emit_wanted(&self, event: impl FnOnce(u64) -> Event) {
        let at_ms = self.clock.wall_ms();
        self.push(at_ms, event(at_ms));
    }

    /// Waits until there is something to be told; `false` when there will not be.
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while state.events.is_empty() && !state.stopping {
            self.arrived.wait(&mut state);
        }
        !state.stopping
    }

    /// Ends the waiting.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.arrived.notify_all();
    }

    /// What the events that wait take, and may take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let bytes = |events: usize| (events * size_of::<Event>()) as u64;
        (bytes(self.state.lock().events.len()), bytes(MOST_EVENTS))
    }

    /// Whether anybody listens.
    #[inline]
    #[must_use]
    pub fn wanted(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Adds what has happened at `at_ms`.
    fn push(&self, at_ms: u64, event: Event) {
        let mut state = self.state.lock();
        if state.events.len() >= MOST_EVENTS {
            state.dropped += 1;
            state.gap.get_or_insert(EventsDropped { at_ms, count: 0 }).count += 1;
            return;
        }
        if let Some(gap) = state.gap.take() {
            state.events.push_back(Event::EventsDropped(gap));
        }
        state.events.push_back(event);
        drop(state);
        self.arrived.notify_all();
    }

    /// Tells all that waits. Returns at once if somebody is at it, which may be the caller: a listener that
    /// uses the store.
    pub fn tell(&self) {
        let mut state = self.state.lock();
        if state.telling {
            return;
        }
        state.telling = true;
        loop {
            let missing = |state: &mut Waiting| state.gap.take().map(Event::EventsDropped);
            let Some(event) = state.events.pop_front().or_else(|| missing(&mut state)) else { break };
            drop(state);
            for listener in &self.listeners {
                if catch(|| listener.event(&event)).is_err() {
                    self.panicked.fetch_add(1, Ordering::Relaxed);
                }
            }
            state = self.state.lock();
        }
        state.telling = false;
    }

    /// How many events were not told because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// How often a listener has panicked.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::events::FamilyCreated;
    use super::*;
    use std::sync::Weak;

    fn created(at_ms: u64) -> Event {
        Event::FamilyCreated(FamilyCreated { at_ms, family: "f".into() })
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<(u64, u64)>>);

    impl EventListener for Heard {
        fn family_created(&self, event: &FamilyCreated) {
            self.0.lock().push((event.at_ms, 0));
        }
        fn events_dropped(&self, event: &EventsDropped) {
            self.0.lock().push((event.at_ms, event.count));
        }
    }

    #[test]
    fn what_is_missing_is_told_in_its_place() {
        let heard = Arc::new(Heard::default());
        let events = Events::new(vec![heard.clone()], Clock::default());
        let most = MOST_EVENTS as u64;
        for at_ms in 0..most + 3 {
            events.push(at_ms, created(at_ms));
        }
        events.tell();
        events.push(most + 3, created(most + 3));
        events.tell();
        let heard = std::mem::take(&mut *heard.0.lock());
        let all: Vec<_> = (0..most).map(|at| (at, 0)).chain([(most, 3), (most + 3, 0)]).collect();
        assert_eq!((heard, events.dropped()), (all, 3));
    }

    /// Tells a later event while it hears of one, as a listener that uses a deterministic store does.
    struct Nested(Mutex<Weak<Events>>, Heard);

    impl EventListener for Nested {
        fn family_created(&self, event: &FamilyCreated) {
            if let (Some(events), 1) = (self.0.lock().upgrade(), event.at_ms) {
                events.push(2, created(2));
                events.tell();
            }
            self.1.family_created(event);
        }
    }

    #[test]
    fn events_keep_their_order_though_a_listener_causes_others() {
        let nested = Arc::new(Nested(Mutex::default(), Heard::default()));
        let events = Arc::new(Events::new(vec![nested.clone()], Clock::default()));
        *nested.0.lock() = Arc::downgrade(&events);
        events.push(1, created(1));
        events.tell();
        assert_eq!(*nested.1.0.lock(), [(1, 0), (2, 0)]);
    }

    struct Panics;

    impl EventListener for Panics {
        fn event(&self, _: &Event) {
            panic!("planted");
        }
    }

    #[test]
    fn a_panic_is_counted_and_others_hear_all_the_same() {
        let heard = Arc::new(Heard::default());
        let events = Events::new(vec![Arc::new(Panics), heard.clone()], Clock::default());
        (1..=2).for_each(|at_ms| events.push(at_ms, created(at_ms)));
        events.tell();
        assert_eq!((heard.0.lock().len(), events.panicked(), events.dropped()), (2, 2, 0));
    }
}

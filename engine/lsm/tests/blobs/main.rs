//! Values that stand apart from their keys: read in every way, collected, copied, damaged, lost.

mod collecting;
mod copies;
mod damage;
mod erasing;
mod promise;
mod reading;
mod seen;
mod store;
mod together;

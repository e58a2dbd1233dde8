//! People by name, found by their city: an index that transactions keep in step with what it is an index
//! of. Whoever looks, at whatever moment, finds the two in agreement.
//!
//! `cargo run --example secondary_index`

use esker::{ColumnFamily, Db, Result, Transaction, TransactionOptions};
use std::thread;

/// The rows, and for each an entry `city \0 name` in the index.
struct People {
    db: Db,
    rows: ColumnFamily,
    by_city: ColumnFamily,
}

fn entry(city: &[u8], name: &str) -> Vec<u8> {
    [city, b"\0", name.as_bytes()].concat()
}

impl People {
    /// Somebody moves to a city, or out of all of them. The old entry of the index goes in the same commit
    /// in which the new one comes; if two move the same person at once, one of them starts again.
    fn moves(&self, name: &str, city: Option<&str>) -> Result<()> {
        self.db.transaction(|transaction: &mut Transaction| {
            if let Some(old) = transaction.get(&self.rows, name)? {
                transaction.delete(&self.by_city, entry(&old, name))?;
            }
            match city {
                Some(city) => {
                    transaction.put(&self.rows, name, city)?;
                    transaction.put(&self.by_city, entry(city.as_bytes(), name), b"")
                }
                None => transaction.delete(&self.rows, name),
            }
        })
    }

    /// Who lives in a city, in the order of their names.
    fn living_in(&self, city: &str) -> Result<Vec<String>> {
        let prefix = entry(city.as_bytes(), "");
        let name = |key: &[u8]| String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        self.by_city.prefix(&prefix)?.map(|found| Ok(name(&found?.0))).collect()
    }

    /// Whether rows and index agree, at one moment. A transaction that only reads needs no commit.
    fn agree(&self) -> Result<bool> {
        let view = self.db.begin(TransactionOptions::default())?;
        let mut expected = Vec::new();
        for row in view.iter(&self.rows)? {
            let (name, city) = row?;
            expected.push(entry(&city, &String::from_utf8_lossy(&name)));
        }
        expected.sort();
        let index: Result<Vec<Vec<u8>>> =
            view.iter(&self.by_city)?.map(|found| Ok(found?.0.to_vec())).collect();
        Ok(index? == expected)
    }
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder to work in");
    let db = Db::builder(folder.path().join("people")).default_durability(esker::Durability::Os).open()?;
    let people =
        People { rows: db.column_family("people")?, by_city: db.column_family("people by city")?, db };
    for (name, city) in [("Ada", "London"), ("Grace", "New York"), ("Alan", "London")] {
        people.moves(name, Some(city))?;
    }
    assert_eq!(people.living_in("London")?, ["Ada", "Alan"]);
    people.moves("Alan", Some("Princeton"))?;
    assert_eq!(people.living_in("London")?, ["Ada"]);

    // Four threads move the same three people about, while a fifth looks.
    thread::scope(|scope| {
        for thread in 0..4 {
            let people = &people;
            scope.spawn(move || {
                for step in 0..100 {
                    let name = ["Ada", "Grace", "Alan"][(thread + step) % 3];
                    let city = ["London", "New York", "Princeton", "Paris"].get((thread * 7 + step) % 5);
                    // After sixteen attempts in vain somebody else is moving them all the time: let them.
                    match people.moves(name, city.copied()) {
                        Ok(()) => {}
                        Err(error) if error.is_transient_conflict() => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        for _ in 0..50 {
            assert!(people.agree().expect("a view"), "rows and index at one moment");
        }
    });
    assert!(people.agree()?);
    let counts = people.db.stats().transactions;
    println!("{} moves were committed, {} conflicts were met", counts.committed, counts.conflicts);
    for city in ["London", "New York", "Princeton", "Paris"] {
        println!("{city}: {:?}", people.living_in(city)?);
    }
    people.db.close()
}

//! A queue of jobs for several workers. A worker takes the first job that nobody works on, by a
//! transaction, under a lease that expires; a worker that dies gives its job back by doing nothing.
//!
//! `cargo run --example job_queue`

use esker::base::clock::{Clock, ManualClock};
use esker::{ColumnFamily, Db, Result, Slice, Transaction};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);

struct Queue {
    db: Db,
    /// Jobs by number.
    jobs: ColumnFamily,
    /// Who works on a job, by the same number, for as long as the lease lasts.
    leases: ColumnFamily,
}

/// A job that a worker has taken.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    number: Slice,
    what: Slice,
}

impl Queue {
    fn push(&self, number: u32, what: &str) -> Result<()> {
        self.jobs.put(number.to_be_bytes(), what)
    }

    /// The first job without a lease. Two workers that want the same one both write its lease: one of them
    /// meets a conflict, and looks again.
    fn take(&self, worker: &str) -> Result<Option<Job>> {
        self.db.transaction(|transaction: &mut Transaction| {
            for job in transaction.iter(&self.jobs)? {
                let (number, what) = job?;
                if transaction.get(&self.leases, &number)?.is_none() {
                    // Whoever finishes it meanwhile deletes it: then there is nothing to take.
                    transaction.get_for_update(&self.jobs, &number)?;
                    transaction.put_with_ttl(&self.leases, &number, worker, LEASE)?;
                    return Ok(Some(Job { number, what }));
                }
            }
            Ok(None)
        })
    }

    /// A worker that needs longer says so. `false` if it was too late: the lease has expired, and somebody
    /// else may have taken the job, even between a look at the lease and the write that prolongs it.
    fn renew(&self, job: &Job, worker: &str) -> Result<bool> {
        let mut batch = esker::WriteBatch::new();
        batch.require_value(&self.leases, &job.number, worker);
        batch.put_with_ttl(&self.leases, &job.number, worker, LEASE);
        self.write_if_mine(batch)
    }

    /// The job is done, unless somebody else has taken it over.
    fn finish(&self, job: &Job, worker: &str) -> Result<bool> {
        let mut batch = esker::WriteBatch::new();
        batch.require_value(&self.leases, &job.number, worker);
        batch.delete(&self.jobs, &job.number).delete(&self.leases, &job.number);
        self.write_if_mine(batch)
    }

    fn write_if_mine(&self, batch: esker::WriteBatch) -> Result<bool> {
        match self.db.write(batch, esker::Durability::Sync) {
            Ok(()) => Ok(true),
            Err(esker::Error::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn main() -> Result<()> {
    // A clock that is moved by hand, so that the example does not wait for half a minute.
    let clock = ManualClock::new(1_700_000_000_000);
    let folder = tempfile::tempdir().expect("a folder to work in");
    let db = Db::builder(folder.path().join("queue")).clock(Clock::Manual(clock.clone())).open()?;
    let queue = Queue { jobs: db.column_family("jobs")?, leases: db.column_family("leases")?, db };
    for number in 1..=20 {
        queue.push(number, &format!("page {number}"))?;
    }

    let lost = queue.take("worker that dies")?.expect("a job");
    let slow = queue.take("slow worker")?.expect("another job");
    assert_ne!(lost, slow);
    println!("{:?} is being worked on by one who will not finish it", lost.what);

    clock.advance(LEASE / 2);
    assert!(queue.renew(&slow, "slow worker")?, "in time");
    clock.advance(LEASE / 2);
    let again = queue.take("quick worker")?.expect("the job of the one who died");
    assert_eq!(again, lost, "its lease has expired, so the job is back");
    assert!(!queue.finish(&lost, "worker that dies")?, "too late");
    assert!(queue.finish(&again, "quick worker")? && queue.finish(&slow, "slow worker")?);
    println!("{:?} came back and was done by another", again.what);

    // Three workers share the rest: each job is done once.
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> = ["a", "b", "c"]
            .map(|worker| {
                let queue = &queue;
                scope.spawn(move || {
                    let mut done = Vec::new();
                    loop {
                        match queue.take(worker) {
                            Ok(Some(job)) => {
                                assert!(queue.finish(&job, worker).expect("a write"), "it is mine alone");
                                done.push(job.what);
                            }
                            Ok(None) => return done,
                            // The others were faster sixteen times.
                            Err(error) if error.is_transient_conflict() => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .into_iter()
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect::<Vec<_>>()
    });
    println!("{} jobs were done by three workers", done.len());
    assert_eq!(done.len(), 18);
    assert!(queue.jobs.iter()?.next().is_none() && queue.leases.iter()?.next().is_none());
    queue.db.close()
}

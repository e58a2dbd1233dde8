//! Programs of others that tests need.

use std::process::{Command, Stdio};

/// Names the programs, between commas, without which tests may pass: what needs them is left out then.
const WITHOUT: &str = "ESKER_WITHOUT";

/// Whether a program is on this machine, of the Debian package with this name.
///
/// # Panics
/// If it is not, and `ESKER_WITHOUT` does not say that it may lack: a test that compares nothing has not
/// passed.
#[must_use]
pub fn is_there(program: &str, package: &str) -> bool {
    // It need not know the option: it is enough that it begins.
    let begins = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    let allowed = std::env::var(WITHOUT).unwrap_or_default();
    match decide(program, package, begins, &allowed) {
        Ok(there) => {
            if !there {
                println!("note: {WITHOUT} lets {program} lack: nothing is tried");
            }
            there
        }
        Err(why) => panic!("{why}"),
    }
}

fn decide(program: &str, package: &str, found: bool, allowed: &str) -> Result<bool, String> {
    if found || allowed.split(',').any(|name| name.trim() == program) {
        return Ok(found);
    }
    Err(format!(
        "there is no {program} here, and this test needs it: install it (sudo apt install {package}), or let \
         the test pass without having tried anything: {WITHOUT}={program}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_lacks_is_a_failure_unless_it_is_named() {
        assert_eq!(decide("redis-server", "redis-server", true, ""), Ok(true));
        assert_eq!(decide("redis-server", "redis-server", false, "strace, redis-server"), Ok(false));
        for allowed in ["", "strace", "redis", "redis-server-7"] {
            let why = decide("redis-server", "redis-server", false, allowed).unwrap_err();
            assert!(why.contains("apt install redis-server"), "{why}");
            assert!(why.ends_with("ESKER_WITHOUT=redis-server"), "{why}");
        }
    }

    #[test]
    fn a_program_is_found_where_there_is_one() {
        assert!(is_there("sh", "dash"));
        let lacks = std::panic::catch_unwind(|| is_there("esker-no-such-program", "nothing"));
        assert!(lacks.is_err());
    }
}

//! A bank in a process of its own, for tests that kill it.

fn main() -> std::process::ExitCode {
    esker_tests::bank::teller::main()
}

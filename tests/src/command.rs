//! The `esker` command, as the tests of this crate run it: the very same code behind another name.

fn main() -> std::process::ExitCode {
    esker_cli::run::main()
}

//! The `esker` binary; everything stands in the library beside it.

fn main() -> std::process::ExitCode {
    esker_cli::run::main()
}

//! The `esker` command, as the tests of this crate run it: the very same code behind another name.

#[global_allocator]
static ALLOCATOR: esker_cli::allocator::Allocator = esker_cli::allocator::Allocator;

fn main() -> std::process::ExitCode {
    esker_cli::run::main()
}

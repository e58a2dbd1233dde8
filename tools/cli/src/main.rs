//! The `esker` binary; everything stands in the library beside it.

#[global_allocator]
static ALLOCATOR: esker_cli::allocator::Allocator = esker_cli::allocator::Allocator;

fn main() -> std::process::ExitCode {
    esker_cli::run::main()
}

//! The shim by itself, as `everynode shim` runs it. Tests of the built-in runtime start this one.

fn main() -> std::process::ExitCode {
    everynode_agent::runtime::shim::main(std::env::args_os().skip(1).collect())
}

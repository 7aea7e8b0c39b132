//! The command line of the load tests.
fn main() {}

//! Ports of servers that tests start.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A port that nobody listened at a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there.
pub fn until_listening(port: u16, program: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "{program} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

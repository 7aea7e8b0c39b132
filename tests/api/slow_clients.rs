//! Clients that hold connections and hardly say a word: they are let go, and others are served.

use crate::harness::{App, order_of, within};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const QUICK: [(&str, &str); 5] = [
    ("SERVER__HEAD_TIMEOUT_SECONDS", "2"),
    // Longer than the tests' own client keeps a connection, which would be closed while it is used.
    ("SERVER__KEEP_ALIVE_SECONDS", "4"),
    ("SERVER__STALL_SECONDS", "2"),
    ("SERVER__BODY_TIMEOUT_SECONDS", "6"),
    ("LIMITS__ENABLED", "false"),
];
const HEAD: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\n";
const WHOLE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
const BODY: &[u8] = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n\
    Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n";

fn address(app: &App) -> std::net::SocketAddr {
    app.url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// Open connections of the server, and memory in MiB.
fn held(app: &App) -> (usize, u64) {
    let links = std::fs::read_dir(format!("/proc/{}/fd", app.pid())).unwrap();
    let names = links.flatten().filter_map(|link| std::fs::read_link(link.path()).ok());
    let sockets = names.filter(|name| name.to_string_lossy().starts_with("socket:")).count();
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().split(' ').next().unwrap().parse().unwrap();
    (sockets, kib / 1024)
}

/// Waits until the server holds hardly more connections than that.
async fn until_let_go(app: &App, sockets: usize) {
    within(Duration::from_secs(30), async || match held(app).0 {
        held if held > sockets + 4 => Err(format!("{held} connections, not {sockets}")),
        _ => Ok(()),
    })
    .await;
}

/// Sends `start`, then a letter every tenth of a second until the server has had enough.
async fn dribble(address: std::net::SocketAddr, start: &[&[u8]]) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let read = async move { while reader.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
    let write = async move {
        for part in start {
            let _ = writer.write_all(part).await;
            sleep(Duration::from_millis(300)).await;
        }
        while writer.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! { () = read => {}, () = write => {} }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_dribbling_clients_are_let_go_and_others_are_served_meanwhile() {
    let app = App::configured(&QUICK).await;
    app.stocked("A", 100, 1000).await;
    let (address, before) = (address(&app), held(&app).0);
    let mut crowd = JoinSet::new();
    for _ in 0..400 {
        crowd.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.read(&mut [0; 256]).await;
        });
    }
    for _ in 0..20 {
        crowd.spawn(dribble(address, &[HEAD, b"X-Note: "]));
        crowd.spawn(dribble(address, &[WHOLE, HEAD, b"X-Note: "]));
        crowd.spawn(dribble(address, &[BODY]));
    }
    sleep(Duration::from_millis(500)).await;
    assert!(held(&app).0 > before + 400, "only {} connections", held(&app).0);
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let started = Instant::now();
        app.place(&order_of(&[("A", 1)])).await.ok(201);
        app.get("/v1/products").await.ok(200);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // All are let go while they still try.
    let all = async { while crowd.join_next().await.is_some() {} };
    timeout(Duration::from_secs(30), all).await.expect("a connection stays for ever");
    until_let_go(&app, before).await;
    app.database.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_holds_little_and_not_for_long() {
    let app = App::configured(&QUICK).await;
    app.get("/openapi.json").await.ok(200);
    let (address, (before, memory)) = (address(&app), held(&app));
    // Each asks for ten times what the kernel keeps for a connection at most.
    let wanted = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(16);
    let mut readers = Vec::new();
    for _ in 0..200 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(&wanted).await.unwrap();
        readers.push(stream);
    }
    sleep(Duration::from_secs(1)).await;
    let (connections, now) = held(&app);
    assert!(connections > before + 150, "only {connections} connections");
    assert!(now < memory + 60, "{memory} MiB have become {now}");
    app.get("/livez").await.ok(200);
    until_let_go(&app, before).await;
    drop(readers);
}

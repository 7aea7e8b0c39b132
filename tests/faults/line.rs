//! A line to PostgreSQL that can be slow, silent or cut. It knows nothing of what it carries.

use crate::between::Between;
use crate::harness::Database;
use crate::strikes::Strikes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How a line is now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weather {
    /// What each piece takes longer, each way.
    pub latency: Duration,
    /// What it takes longer still, at most; pieces keep their order.
    pub jitter: Duration,
    /// Bytes a second and direction; `None` is all that the machine can carry.
    pub bytes_per_second: Option<u32>,
    /// What does not get through, while nobody is told: both ends look open.
    pub silence: Silence,
    /// The first connection on which PostgreSQL has said so many bytes is reset, and no other one.
    pub cut_after_bytes: Option<usize>,
}

/// What a line swallows for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Silence {
    /// Nothing.
    #[default]
    Nowhere,
    /// Everything.
    BothWays,
    /// What PostgreSQL says, while it hears everything.
    Answers,
}

impl Silence {
    fn swallows(self, is_answer: bool) -> bool {
        match self {
            Self::Nowhere => false,
            Self::BothWays => true,
            Self::Answers => is_answer,
        }
    }
}

/// The running line.
pub struct Line {
    /// The database at its other end.
    pub url: String,
    /// When connections were reset for what they had carried.
    pub cuts: Strikes,
    shared: Arc<Shared>,
    _between: Between,
}

struct Shared {
    weather: watch::Sender<Weather>,
    cuts: Strikes,
    seed: u64,
    carried: AtomicU64,
    open: Mutex<Vec<watch::Sender<bool>>>,
}

impl Line {
    /// A line to this database, in good weather.
    pub fn to(database: &Database) -> Self {
        let shared = Arc::new(Shared {
            weather: watch::channel(Weather::default()).0,
            cuts: Strikes::default(),
            seed: crate::announced_seed(),
            carried: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let carried = shared.clone();
        let between = Between::and(database, move |client, upstream| {
            carry(client, upstream, carried.clone())
        });
        Self { url: between.url.clone(), cuts: shared.cuts.clone(), shared, _between: between }
    }

    /// From now on it is like this.
    pub fn turn(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Resets all connections.
    pub fn cut(&self) {
        for open in self.shared.open.lock().unwrap().drain(..) {
            // Fails if it is closed already.
            let _ = open.send(true);
        }
    }

    /// Bytes that PostgreSQL has said.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }
}

/// Carries a connection until an end closes it, or it is cut.
async fn carry(client: TcpStream, upstream: SocketAddr, shared: Arc<Shared>) -> Result<()> {
    let server = TcpStream::connect(upstream).await?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
        // Whoever is cut off gets a reset.
        end.set_zero_linger()?;
    }
    let (cut, mut is_cut) = watch::channel(false);
    shared.open.lock().unwrap().push(cut);
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        ended = pump(from_client, to_server, &shared, false) => ended,
        ended = pump(from_server, to_client, &shared, true) => ended,
        _ = is_cut.wait_for(|is_cut| *is_cut) => Ok(()),
    }
}

/// One direction: what is read leaves when its time has come.
async fn pump(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    shared: &Shared,
    is_answer: bool,
) -> Result<()> {
    let (queue, pieces) = mpsc::channel(1_024);
    let mut dice = StdRng::seed_from_u64(shared.seed);
    let reading = async {
        // When the line has carried all that was said, and when the last piece arrives.
        let (mut free, mut last, mut said) = (Instant::now(), Instant::now(), 0);
        loop {
            let mut piece = vec![0; 16 * 1_024];
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            piece.truncate(length);
            said += length;
            let weather = *shared.weather.borrow();
            let rate = weather.bytes_per_second.map_or(f64::INFINITY, f64::from);
            free = free.max(Instant::now()) + Duration::from_secs_f64(length as f64 / rate);
            let jitter = weather.jitter.mul_f64(dice.random());
            let at = (free + weather.latency + jitter).max(last);
            last = at;
            if is_answer {
                shared.carried.fetch_add(length as u64, Ordering::Relaxed);
                if let Some(over) = weather.cut_after_bytes.and_then(|max| said.checked_sub(max))
                    && shared.weather.send_if_modified(|now| now.cut_after_bytes.take().is_some())
                {
                    piece.truncate(length.saturating_sub(over));
                    let _ = queue.send((at, piece)).await;
                    shared.cuts.now();
                    // The last bytes arrive, the reset comes behind them.
                    sleep(Duration::from_millis(5)).await;
                    return Ok(());
                }
            }
            if queue.send((at, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        read = reading => read,
        written = write(pieces, to, shared, is_answer) => written,
    }
}

async fn write(
    mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    is_answer: bool,
) -> Result<()> {
    let mut weather = shared.weather.subscribe();
    while let Some((at, piece)) = pieces.recv().await {
        sleep_until(at).await;
        // What waits in the silence arrives when it ends, as TCP sends again what was lost.
        let _ = weather.wait_for(|weather| !weather.silence.swallows(is_answer)).await;
        to.write_all(&piece).await?;
    }
    Ok(())
}

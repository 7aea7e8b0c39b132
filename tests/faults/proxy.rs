//! A proxy before PostgreSQL that loses what a test wants lost. It reads just enough of the wire
//! protocol to know BEGIN, COMMIT and which answer belongs to which request.

use crate::between::Between;
use crate::harness::Database;
use crate::strikes::Strikes;
use bytes::{Bytes, BytesMut};
use std::future::pending;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What is done to a transaction of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// PostgreSQL commits, but the answer never arrives and the connection is cut.
    SwallowCommit,
    /// All answers from BEGIN's on are lost, while PostgreSQL works off what was sent.
    SwallowBegin,
    /// COMMIT does not reach PostgreSQL; the connection is cut.
    DropCommit,
    /// The answers from BEGIN's on are held back until they are released.
    HoldBegin,
    /// A batch sent at once is held back; the connection is cut when it is released, and what was
    /// sent reaches PostgreSQL when it is released once more.
    Late,
}

/// How long nothing must have been sent before a transaction is taken to wait for answers.
const QUIET: Duration = Duration::from_millis(50);

/// The running proxy.
pub struct Proxy {
    /// The database through the proxy.
    pub url: String,
    /// When faults happened.
    pub strikes: Strikes,
    plan: Arc<Plan>,
    _between: Between,
}

impl Proxy {
    /// A proxy before this database, which passes everything on for now.
    pub fn before(database: &Database) -> Self {
        let plan = Arc::new(Plan::default());
        let planned = plan.clone();
        let between = Between::and(database, move |client, upstream| {
            carry(client, upstream, planned.clone())
        });
        Self { url: between.url.clone(), strikes: plan.strikes.clone(), plan, _between: between }
    }

    /// From now on does this to the next `count` transactions. If the first one of a connection
    /// is spared, what a fault has hit comes through at its next run; else it may be hit again.
    pub fn arm(&self, fault: Fault, count: usize, spares_first: bool) {
        *self.plan.armed.lock().unwrap() = Some(Armed { fault, count, spares_first });
    }

    /// Faults that happened. A COMMIT whose transaction had failed is none.
    pub fn faults(&self) -> usize {
        self.strikes.count()
    }

    /// … of them those whose transaction PostgreSQL committed.
    pub fn committed(&self) -> usize {
        self.plan.committed.load(Ordering::SeqCst)
    }

    /// … and whose COMMIT was sent before BEGIN was answered: the optimistic form.
    pub fn pipelined(&self) -> usize {
        self.plan.pipelined.load(Ordering::SeqCst)
    }

    /// Waits until a transaction is held back.
    pub async fn held(&self) {
        self.plan.held.notified().await;
    }

    /// Hands out what was held back, or goes on with what is late.
    pub fn release(&self) {
        self.plan.released.notify_one();
    }
}

struct Armed {
    fault: Fault,
    count: usize,
    spares_first: bool,
}

#[derive(Default)]
struct Plan {
    armed: Mutex<Option<Armed>>,
    strikes: Strikes,
    committed: AtomicUsize,
    pipelined: AtomicUsize,
    held: Notify,
    released: Notify,
}

impl Plan {
    fn take(&self, wanted: &[Fault], is_first: bool) -> Option<Fault> {
        let mut armed = self.armed.lock().unwrap();
        let armed = armed.as_mut().filter(|armed| armed.count > 0)?;
        if !wanted.contains(&armed.fault) || is_first && armed.spares_first {
            return None;
        }
        armed.count -= 1;
        Some(armed.fault)
    }

    fn give_back(&self) {
        self.armed.lock().unwrap().iter_mut().for_each(|armed| armed.count += 1);
    }
}

async fn carry(client: TcpStream, upstream: SocketAddr, plan: Arc<Plan>) -> Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // What remains unsent when it returns is cut off with the connections.
    Wire::new(plan).pass(End::new(client), End::new(server)).await
}

/// One end of a connection, read in messages.
struct End {
    stream: TcpStream,
    unread: BytesMut,
}

impl End {
    fn new(stream: TcpStream) -> Self {
        Self { stream, unread: BytesMut::new() }
    }

    /// The next message, whose length stands after `before` bytes. May be cancelled.
    async fn next(&mut self, before: usize) -> Result<Option<Bytes>> {
        loop {
            if let Some(length) = self.unread.get(before..before + 4) {
                let length = u32::from_be_bytes(length.try_into().unwrap()) as usize + before;
                if self.unread.len() >= length {
                    return Ok(Some(self.unread.split_to(length).freeze()));
                }
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// What to do with a message.
#[derive(PartialEq, Eq)]
enum Verdict {
    Pass,
    Keep,
    Cut,
    Late,
}

/// One connection through the proxy. Requests are numbered as PostgreSQL ends its answers to
/// them, each with one ReadyForQuery: the start-up is the first, then every Query and Sync.
struct Wire {
    plan: Arc<Plan>,
    sent: usize,
    answered: usize,
    transactions: usize,
    /// The BEGIN of the current transaction, if it is a journal's.
    begin: Option<usize>,
    fault: Option<Ongoing>,
}

/// A fault on its way.
struct Ongoing {
    kind: Fault,
    /// The first request whose answers are kept.
    from: usize,
    commit: Option<usize>,
    committed: bool,
    pipelined: bool,
    kept: Vec<u8>,
}

impl Wire {
    fn new(plan: Arc<Plan>) -> Self {
        Self { plan, sent: 1, answered: 0, transactions: 0, begin: None, fault: None }
    }

    async fn pass(mut self, mut client: End, mut server: End) -> Result<()> {
        let Some(startup) = client.next(0).await? else { return Ok(()) };
        server.stream.write_all(&startup).await?;
        loop {
            tokio::select! {
                biased;
                message = client.next(1) => {
                    let Some(message) = message? else { return Ok(()) };
                    match self.request(&message) {
                        Verdict::Cut => return Ok(()),
                        Verdict::Keep => {}
                        Verdict::Late => return self.arrive_late(client, server).await,
                        Verdict::Pass => server.stream.write_all(&message).await?,
                    }
                }
                message = server.next(1) => {
                    let Some(message) = message? else { return Ok(()) };
                    match self.answer(&message) {
                        Verdict::Cut => return Ok(()),
                        Verdict::Pass => client.stream.write_all(&message).await?,
                        _ => {}
                    }
                }
                () = self.quiet() => {
                    if self.fault.as_ref().is_none_or(|fault| fault.kind != Fault::HoldBegin) {
                        self.happened();
                        return Ok(());
                    }
                    self.plan.held.notify_one();
                    self.plan.released.notified().await;
                    self.happened();
                    let kept = self.fault.take().map(|fault| fault.kept).unwrap_or_default();
                    client.stream.write_all(&kept).await?;
                }
            }
        }
    }

    /// The client goes first, and PostgreSQL gets what it had sent when nobody waits any more.
    async fn arrive_late(mut self, client: End, mut server: End) -> Result<()> {
        self.plan.held.notify_one();
        self.plan.released.notified().await;
        drop(client);
        self.plan.released.notified().await;
        let kept = self.fault.as_mut().map(|fault| std::mem::take(&mut fault.kept));
        server.stream.write_all(&kept.unwrap_or_default()).await?;
        while self.answered < self.sent {
            let Some(message) = server.next(1).await? else { break };
            self.answer(&message);
        }
        Ok(())
    }

    fn request(&mut self, message: &[u8]) -> Verdict {
        let verdict = self.judge(message);
        match &mut self.fault {
            Some(fault) if fault.kind == Fault::Late => {
                fault.kept.extend_from_slice(message);
                if fault.commit.is_some() { Verdict::Late } else { Verdict::Keep }
            }
            _ => verdict,
        }
    }

    fn judge(&mut self, message: &[u8]) -> Verdict {
        if !matches!(message[0], b'Q' | b'S') {
            return Verdict::Pass;
        }
        self.sent += 1;
        let text = std::str::from_utf8(&message[5..]).unwrap_or_default();
        let text = text.trim_end_matches('\0');
        // Only the journals say how they are isolated.
        if text == "BEGIN ISOLATION LEVEL READ COMMITTED" {
            self.begin = Some(self.sent);
            self.transactions += 1;
            self.start(&[Fault::SwallowBegin, Fault::HoldBegin, Fault::Late]);
        } else if text == "COMMIT" && self.begin.is_some() {
            self.start(&[Fault::SwallowCommit, Fault::DropCommit]);
            let pipelined = self.begin.take().is_some_and(|begin| self.answered < begin);
            if let Some(fault) = &mut self.fault {
                (fault.commit, fault.pipelined) = (Some(self.sent), pipelined);
                if fault.kind == Fault::DropCommit {
                    self.happened();
                    return Verdict::Cut;
                }
            }
        } else if text == "ROLLBACK" {
            self.begin = None;
        }
        Verdict::Pass
    }

    fn start(&mut self, kinds: &[Fault]) {
        let Some(kind) = self.plan.take(kinds, self.transactions == 1) else { return };
        self.fault = Some(Ongoing {
            kind,
            from: self.sent,
            commit: None,
            committed: false,
            pipelined: false,
            kept: Vec::new(),
        });
    }

    fn answer(&mut self, message: &[u8]) -> Verdict {
        let request = self.answered + 1;
        let is_last = message[0] == b'Z';
        self.answered += usize::from(is_last);
        let Some(fault) = &mut self.fault else { return Verdict::Pass };
        if request < fault.from {
            return Verdict::Pass;
        }
        let is_commit = fault.commit == Some(request);
        fault.kept.extend_from_slice(message);
        fault.committed |= is_commit && message[0] == b'C' && &message[5..] == b"COMMIT\0";
        if !(is_commit && is_last) {
            return Verdict::Keep;
        }
        match fault.committed || matches!(fault.kind, Fault::SwallowBegin | Fault::Late) {
            true => self.happened(),
            false => self.plan.give_back(),
        }
        Verdict::Cut
    }

    /// Resolves when answers are kept from a client that sends nothing before it has them.
    async fn quiet(&self) {
        let is_complete = self.answered == self.sent;
        match &self.fault {
            Some(fault) if is_complete && fault.commit.is_none() => {
                tokio::time::sleep(QUIET).await
            }
            _ => pending().await,
        }
    }

    fn happened(&self) {
        let Some(fault) = &self.fault else { return };
        self.plan.committed.fetch_add(usize::from(fault.committed), Ordering::SeqCst);
        self.plan.pipelined.fetch_add(usize::from(fault.pipelined), Ordering::SeqCst);
        self.plan.strikes.now();
    }
}

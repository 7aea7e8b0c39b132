//! `serve`: an instance against configured services.

use doorbuster::app::App;
use doorbuster::config::{Config, Sources};
use doorbuster::embedded::stdin_closed;
use doorbuster::{metrics, telemetry};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Serves until SIGTERM, SIGINT or SIGHUP; or until standard input closes, which it also does
/// when the program dies that holds its other end.
pub fn run(sources: &Sources, until_stdin_closes: bool) -> Result<ExitCode, String> {
    let config = super::load(sources)?;
    config.postgres_url().map_err(|error| error.to_string())?;
    telemetry::install(&config.log)?;
    actix_web::rt::System::new().block_on(async {
        let mut stop = Stop::listen()?;
        if until_stdin_closes {
            stop.stdin = Some(stdin_closed());
        }
        let listener = listen(config.server.bind)?;
        serve(config, listener, stop, |address| println!("doorbuster: serving http://{address}"))
            .await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What asks to stop; listened for before anything starts.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Told when standard input closes, if that counts.
    stdin: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// Takes the signals over from their default, which is to die.
    pub fn listen() -> Result<Self, String> {
        let listen = |kind| {
            signal(kind).map_err(|error| format!("signals cannot be listened for: {error}"))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            stdin: None,
        })
    }

    /// Waits for one of them.
    pub async fn requested(&mut self) {
        let stdin = async {
            match &mut self.stdin {
                // That nobody can tell any more is told.
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stdin => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Connections that may wait to be accepted; std's 128 is little when everybody comes at once.
const BACKLOG: i32 = 4096;

/// Listens, before anything else is started: a taken port is found out at once.
pub fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listening = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok::<_, std::io::Error>(socket.into())
    };
    listening().map_err(|error| format!("{address} cannot be listened on: {error}"))
}

/// Starts the app, says that it is there, and stops it in order when asked to.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    mut stop: Stop,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let metrics = metrics::install().map_err(|error| error.to_string())?;
    // It may wait for long, say for another instance that migrates.
    let app = tokio::select! {
        started = App::start(config, Some(metrics)) => started?,
        () = stop.requested() => return Ok(()),
    };
    let server = app.serve(listener).map_err(|error| error.to_string())?;
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    announce(address);
    stop.requested().await;
    tracing::info!("stopping: requests in flight are finished first");
    app.stop(handle).await;
    match server.await {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

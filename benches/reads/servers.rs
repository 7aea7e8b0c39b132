//! The servers as processes of their own: the real one, and one that always says the same.

use super::cpu::Used;
use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use bytes::Bytes;
use loadtests::client::{Connection, Request};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// With this argument and a number of bytes the bench is the constant server.
const CONSTANT: &str = "--constant";

/// A running server.
pub struct Server {
    url: String,
    child: Child,
}

impl Server {
    /// The real one, with the default settings.
    pub fn doorbuster(postgres_url: &str, redis_url: Option<&str>) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("DOORBUSTER__")) {
            command.env_remove(key);
        }
        command.arg("serve");
        command.env("DOORBUSTER__SERVER__BIND", "127.0.0.1:0");
        command.env("DOORBUSTER__POSTGRES__URL", postgres_url);
        command.env("DOORBUSTER__REDIS__URL", redis_url.unwrap_or_default());
        command.env("DOORBUSTER__LOG__FILTER", "error");
        // One address asks for everything.
        let wide = "1000000/second burst 1000000";
        command.env("DOORBUSTER__LIMITS__PER_ADDRESS", wide);
        Self::start(command)
    }

    /// Bare actix-web that answers everything with the same bytes, made once.
    pub fn constant(bytes: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([CONSTANT, &bytes.to_string()]);
        Self::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("a server without an output")?;
        let mut server = Self { url: String::new(), child };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("doorbuster: serving ");
        url.context("the server did not start")?.clone_into(&mut server.url);
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Duration {
        Used::now(Some(self.child.id()), 0, None).server
    }

    /// The mean size of the answers.
    pub async fn mean_size(&self, paths: &[String]) -> anyhow::Result<usize> {
        let mut connection = Connection::new(self.url.parse()?);
        let mut sum = 0;
        for path in paths {
            let answer = connection.send(&Request::get(path), Duration::from_secs(30)).await;
            let answer = answer.ok().filter(|answer| answer.status == 200);
            sum += answer.with_context(|| format!("{path} is not there"))?.body.len();
        }
        Ok(sum / paths.len().max(1))
    }

    /// Ends it.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The size of the constant answer, if this process is to be the constant server.
pub fn constant_size() -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != CONSTANT);
    arguments.nth(1)?.parse().ok()
}

/// Serves until it is killed.
pub fn serve_constant(bytes: usize) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let body = Bytes::from(vec![b'x'; bytes]);
        let server = HttpServer::new(move || {
            let body = body.clone();
            App::new().default_service(web::to(move || {
                let mut response = HttpResponse::Ok();
                response.content_type("application/json");
                response.insert_header((header::CACHE_CONTROL, "public, max-age=1"));
                response.insert_header((header::ETAG, "\"0123456789abcdef0123456789abcdef\""));
                let response = response.body(body.clone());
                async { response }
            }))
        });
        let server = server.bind("127.0.0.1:0")?;
        println!("doorbuster: serving http://{}", server.addrs()[0]);
        Ok(server.run().await?)
    })
}

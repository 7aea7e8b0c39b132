//! Cached catalog reads beside a constant answer of the same size from bare actix-web, measured
//! in one run, with a small and a large catalog.
//!
//! `cargo bench --profile release --bench reads -- 1000 1000000` chooses the sizes of the catalogs;
//! the URL of a database that `loadtests seed` has filled may stand in place of a size. The server,
//! the constant one and the load generator share the cores, so the ratio counts and not the rate;
//! the processor time that a server spends on a request stands beside it.

#[path = "../limits/cpu.rs"]
#[allow(dead_code)]
mod cpu;
mod servers;
mod shop;

use anyhow::ensure;
use loadtests::client::Request;
use loadtests::hammer::{Until, hammer};
use servers::Server;
use shop::{Catalog, Shop};
use std::sync::Arc;
use std::time::Duration;

// The allocator of the `doorbuster` binary, because one of the servers is this executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each row is measured so often; its median counts.
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(3);

/// What is read.
#[derive(Debug, Clone, Copy)]
enum Reads {
    /// 1,000 products, one after the other, by slug.
    Products,
    /// The first page of the catalog.
    List,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    per_second: f64,
    p99: Duration,
    /// Of the server, for each request.
    cpu: Duration,
}

fn main() -> anyhow::Result<()> {
    if let Some(bytes) = servers::constant_size() {
        return servers::serve_constant(bytes);
    }
    let mut catalogs: Vec<Catalog> = std::env::args().skip(1).filter_map(catalog).collect();
    if catalogs.is_empty() {
        catalogs.push(Catalog::New(1_000));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("{ROUNDS} rounds of {} s, {CONNECTIONS} connections", MEASURED.as_secs());
        println!(
            "{:<34}{:>9}{:>10}{:>8}{:>10}{:>8}{:>9}",
            "", "bytes", "reads/s", "ratio", "CPU µs", "ratio", "p99 ms"
        );
        for catalog in &catalogs {
            let shop = Shop::open(catalog).await?;
            for reads in [Reads::Products, Reads::List] {
                compare(&shop, reads).await?;
            }
            shop.close().await?;
        }
        Ok(())
    })
}

fn catalog(argument: String) -> Option<Catalog> {
    match argument.parse() {
        Ok(products) => Some(Catalog::New(products)),
        Err(_) => argument.starts_with("postgres").then_some(Catalog::At(argument)),
    }
}

/// The server and the constant one in turn, so that a busy minute hits both.
async fn compare(shop: &Shop, reads: Reads) -> anyhow::Result<()> {
    let paths: Arc<[String]> = match reads {
        Reads::Products => shop.slugs.iter().map(|slug| format!("/v1/products/{slug}")).collect(),
        Reads::List => Arc::from(["/v1/products".to_owned()]),
    };
    let bytes = shop.server.mean_size(&paths).await?;
    let constant = Server::constant(bytes)?;
    let (mut cached, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        cached.push(measure(&shop.server, paths.clone()).await?);
        bare.push(measure(&constant, paths.clone()).await?);
    }
    constant.stop()?;
    let (cached, bare) = (median(cached), median(bare));
    let name = format!("{reads:?} of {}", shop.products).to_lowercase();
    print_row(&name, bytes, cached, bare);
    print_row("  constant answer", bytes, bare, bare);
    Ok(())
}

async fn measure(server: &Server, paths: Arc<[String]>) -> anyhow::Result<Sample> {
    let run = |time| {
        let paths = paths.clone();
        // One request after the other is of another product, and not in the order of the rows.
        let path = move |n: u64| paths[(n as usize).wrapping_mul(7919) % paths.len()].clone();
        hammer(server.url(), move |n| Request::get(path(n)), CONNECTIONS, Until::Elapsed(time))
    };
    run(WARM_UP).await?;
    let before = server.cpu();
    let measured = run(MEASURED).await?;
    let used = server.cpu().saturating_sub(before);
    let answers: u64 = measured.statuses.values().sum();
    let is_ok = measured.statuses.keys().all(|status| *status == 200);
    ensure!(is_ok && measured.failures == 0, "not only 200: {measured:?}");
    Ok(Sample {
        per_second: measured.per_second,
        p99: measured.p99,
        cpu: used.div_f64(answers.max(1) as f64),
    })
}

fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    samples.swap_remove(samples.len() / 2)
}

fn print_row(name: &str, bytes: usize, sample: Sample, bare: Sample) {
    println!(
        "{name:<34}{bytes:>9}{:>10.0}{:>8.2}{:>10.1}{:>8.2}{:>9.2}",
        sample.per_second,
        sample.per_second / bare.per_second,
        sample.cpu.as_secs_f64() * 1e6,
        bare.cpu.as_secs_f64() / sample.cpu.as_secs_f64(),
        sample.p99.as_secs_f64() * 1e3,
    );
}

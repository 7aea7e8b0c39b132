//! Libraries that make the machine worse for programs that start with them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A library of `scripts/`, compiled, for programs to start with.
pub struct Preloaded(PathBuf);

impl Preloaded {
    /// Of this source.
    pub fn of(source: &str) -> Self {
        let name = format!("{}.so", uuid::Uuid::now_v7());
        let library = Self(std::env::temp_dir().join(name));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(source);
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library.0).arg(source);
        assert!(compile.status().unwrap().success());
        library
    }

    /// What `LD_PRELOAD` shall name.
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Preloaded {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A disk that takes longer to flush PostgreSQL's log, so that what dies has commits on its way.
pub struct SlowFlush {
    library: Preloaded,
    us: &'static str,
}

impl SlowFlush {
    /// By so many microseconds.
    pub fn by(us: &'static str) -> Self {
        Self { library: Preloaded::of("slow-flush.c"), us }
    }

    /// What servers need to have it.
    pub fn environment(&self) -> [(&str, &str); 3] {
        let library = self.library.path();
        [("LD_PRELOAD", library), ("SLOW_FLUSH_US", self.us), ("SLOW_FLUSH_LOG_ONLY", "1")]
    }
}

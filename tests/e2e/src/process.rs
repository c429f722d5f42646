//! Child processes with a log file, in their own process group, that end with the run; it must not interpret their output.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};

use crate::reaper::Reaper;

/// One running program. Dropping the last handle kills it.
#[derive(Debug, Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
    reaper: Arc<Reaper>,
}

impl Process {
    /// Starts `command` with both its outputs appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path, reaper: &Arc<Reaper>) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = child.id().context("a process that has just started has a number")?;
        reaper.add(pid);
        let inner = Inner { name: name.to_owned(), pid, child: Mutex::new(child), log: log.to_path_buf(), reaper: Arc::clone(reaper) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.pid
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.inner.log).unwrap_or_default()
    }

    /// Sends SIGKILL; what has ended already is left alone.
    pub fn kill(&self) {
        // The only failure is that the process is gone, which is what is wanted.
        let _ = self.inner.child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
    }

    /// Sends a signal by its name, such as `STOP`; what has ended already is left alone.
    pub async fn signal(&self, name: &str) -> Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        let sent = Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, name, &self.inner.pid.to_string()]).status().await?;
        anyhow::ensure!(sent.success() || self.ended().is_some(), "{} took no SIG{name}: {sent}", self.inner.name);
        Ok(())
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.inner.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// Kills it and waits until it is gone.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.kill();
        crate::wait::until(&format!("the end of {}", self.inner.name), std::time::Duration::from_secs(10), || async {
            Ok(self.ended().ok_or("it still runs"))
        })
        .await
    }

    /// A file that the kernel shows of it in `/proc`.
    pub fn proc(&self, file: &str) -> Result<String> {
        let bytes = std::fs::read(format!("/proc/{}/{file}", self.inner.pid)).with_context(|| format!("{file} of {}", self.inner.name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files of file systems that it has open to write into, devices left out.
    pub fn files(&self) -> std::io::Result<Vec<std::path::PathBuf>> {
        let folder = format!("/proc/{}", self.inner.pid);
        // What was closed meanwhile is none. The last octal digit of the flags tells what a file is open for; 0 is to read.
        let written = |entry: std::fs::DirEntry| {
            let told = std::fs::read_to_string(format!("{folder}/fdinfo/{}", entry.file_name().to_string_lossy())).ok()?;
            let flags = told.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            if flags.ends_with(['1', '2']) { std::fs::read_link(entry.path()).ok() } else { None }
        };
        let paths = std::fs::read_dir(format!("{folder}/fd"))?.filter_map(|entry| written(entry.ok()?));
        Ok(paths.filter(|path| path.is_absolute() && !path.starts_with("/dev")).collect())
    }

    /// Its resident memory in kibibytes, from `/proc`.
    pub fn resident_kib(&self) -> Result<u64> {
        self.kib("VmRSS:")
    }

    /// The most that its resident memory ever was, in kibibytes, from `/proc`.
    pub fn peak_kib(&self) -> Result<u64> {
        self.kib("VmHWM:")
    }

    fn kib(&self, name: &str) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in /proc"))?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both fail only for a process that is gone.
        let _ = child.start_kill();
        let _ = child.try_wait();
        self.reaper.forget(self.pid);
    }
}

/// The last `lines` of a log, indented, for an error message.
#[must_use]
pub fn tail(log: &str, lines: usize) -> String {
    let all: Vec<&str> = log.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    last.iter().flat_map(|line| ["    ", line, "\n"]).collect()
}

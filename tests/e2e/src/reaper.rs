//! Stops everything a run started, however the run ends; it must not start anything itself.
//!
//! A small shell holds one end of a pipe. When the test process ends (returns, panics, is interrupted or killed), the
//! pipe closes, and the shell kills what is still registered, takes the control plane down and removes the run's folder.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=''
plane=''
folder=''
while read -r verb value; do
  case $verb in
    add) pids="$pids $value" ;;
    drop)
      kept=''
      for pid in $pids; do [ "$pid" = "$value" ] || kept="$kept $pid"; done
      pids=$kept
      ;;
    plane) plane=$value ;;
    remove) folder=$value ;;
    keep) folder='' ;;
  esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
[ -z "$plane" ] || "$1" "$plane" >/dev/null 2>&1 || echo "reaper: $1 $plane failed" >&2
[ -z "$folder" ] || rm -rf "$folder"
exit 0
"#;

/// The shell that outlives the run by a moment. Dropping it, or the death of this process, makes it clean up.
#[derive(Debug)]
pub struct Reaper {
    pipe: Mutex<Option<ChildStdin>>,
    shell: Mutex<Option<Child>>,
}

impl Reaper {
    /// Starts the shell; `down` is the script that takes a control plane's folder and stops what runs there.
    pub fn start(down: &Path) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "reaper"])
            .arg(down)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the shell that stops everything at the end")?;
        let pipe = shell.stdin.take();
        Ok(Self { pipe: Mutex::new(pipe), shell: Mutex::new(Some(shell)) })
    }

    /// Kills process `pid` when the run ends.
    pub fn add(&self, pid: u32) {
        self.tell(&format!("add {pid}"));
    }

    /// Kills process `pid` if the run ends while the returned guard lives.
    pub fn guard(&self, pid: u32) -> Registered<'_> {
        self.add(pid);
        Registered { reaper: self, pid }
    }

    /// Forgets process `pid`, which has ended and whose number may be used again.
    pub fn forget(&self, pid: u32) {
        self.tell(&format!("drop {pid}"));
    }

    /// Takes the control plane of `folder` down when the run ends.
    pub fn control_plane(&self, folder: &Path) {
        self.tell(&format!("plane {}", folder.display()));
    }

    /// Removes `folder` when the run ends.
    pub fn remove(&self, folder: &Path) {
        self.tell(&format!("remove {}", folder.display()));
    }

    /// Leaves the run's folder, so that its logs can be read.
    pub fn keep(&self) {
        self.tell("keep");
    }

    /// Cleans up now and waits until it is done.
    pub fn finish(&self) {
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(mut shell) = self.shell.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The shell always exits with 0; only waiting can fail, and then nothing is left to wait for.
            let _ = shell.wait();
        }
    }

    fn tell(&self, line: &str) {
        if let Some(pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A shell that is gone cannot be told anything; `finish` and the run's own guards remain.
            let _ = writeln!(pipe, "{line}");
        }
    }
}

/// A registration that ends when it is dropped.
#[derive(Debug)]
pub struct Registered<'a> {
    reaper: &'a Reaper,
    pid: u32,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.reaper.forget(self.pid);
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn what_is_registered_dies_with_the_pipe_and_what_was_forgotten_does_not() {
        let folder = tempfile::tempdir().unwrap().keep();
        let reaper = Reaper::start(Path::new("true")).unwrap();
        let (mut registered, mut forgotten) = (sleeper(), sleeper());
        reaper.add(registered.id());
        reaper.add(forgotten.id());
        reaper.forget(forgotten.id());
        reaper.remove(&folder);
        reaper.finish();
        assert!(!registered.wait().unwrap().success());
        assert!(forgotten.try_wait().unwrap().is_none(), "a forgotten process was killed");
        assert!(!folder.exists());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
    }
}

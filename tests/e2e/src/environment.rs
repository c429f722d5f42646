//! Where the programs and folders of a run are, from environment variables with defaults; it must not start anything.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The operator's binary: `GENESYS_E2E_OPERATOR`.
pub const OPERATOR: &str = "GENESYS_E2E_OPERATOR";
/// The simulator's binary: `GENESYS_E2E_SIMULATOR`.
pub const SIMULATOR: &str = "GENESYS_E2E_SIMULATOR";
/// The demo's binary: `GENESYS_E2E_DEMO`.
pub const DEMO: &str = "GENESYS_E2E_DEMO";
/// How many scenarios run side by side: `GENESYS_E2E_PARALLEL`.
pub const PARALLEL: &str = "GENESYS_E2E_PARALLEL";
/// A folder that stays after the run, with all logs: `GENESYS_E2E_KEEP`.
pub const KEEP: &str = "GENESYS_E2E_KEEP";

/// The paths of one run.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The repository's root.
    pub root: PathBuf,
    /// The operator's binary.
    pub operator: PathBuf,
    /// The simulator's binary.
    pub simulator: PathBuf,
    /// How many scenarios run side by side.
    pub parallel: usize,
}

impl Environment {
    /// Reads the environment; the binaries default to those of a debug build.
    pub fn read() -> Result<Self> {
        Self::with_profile("debug")
    }

    /// The same with the binaries of another profile's build, such as `release`, as the default.
    pub fn with_profile(profile: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let parallel = match env::var(PARALLEL) {
            Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("{PARALLEL} is '{text}', not a number"))?,
            Err(_) => 6,
        };
        Ok(Self {
            operator: binary(OPERATOR, "genesys-oauth-operator", &root, profile)?,
            simulator: binary(SIMULATOR, "genesys-cloud-simulator", &root, profile)?,
            root,
            parallel,
        })
    }

    /// The demo's binary, an example of the operator's package.
    pub fn demo(&self) -> Result<PathBuf> {
        binary(DEMO, "examples/demo", &self.root, "debug")
    }

    /// A script or manifest of the repository.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

/// Whether a CI runs this: then nothing may be skipped.
#[must_use]
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

fn binary(variable: &str, name: &str, root: &Path, profile: &str) -> Result<PathBuf> {
    if let Some(given) = env::var_os(variable) {
        let path = PathBuf::from(given);
        if !path.is_file() {
            bail!("{variable} names {}, where no program is", path.display());
        }
        return Ok(path.canonicalize()?);
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |given| root.join(given));
    let path = target.join(profile).join(name);
    if path.is_file() {
        return Ok(path.canonicalize()?);
    }
    let what = name.strip_prefix("examples/").map_or_else(|| "--bins".to_owned(), |example| format!("--example {example}"));
    let flag = if profile == "release" { " --release" } else { "" };
    bail!("no program {}: build it with 'cargo build{flag} {what}', or set {variable} to its path", path.display())
}

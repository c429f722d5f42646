//! What a person types next: how to reach the demo with kubectl, and the first commands. It must not say what does not work.

use std::path::{Path, PathBuf};

use crate::{arguments::Arguments, arguments::Show, print};

/// What the tour speaks of.
pub struct Tour<'a> {
    /// The command line.
    pub arguments: &'a Arguments,
    /// The operator's log.
    pub log: &'a Path,
    /// Where the platform's administrators look.
    pub platform_url: String,
}

impl Tour<'_> {
    /// Prints it.
    pub fn print(&self) {
        print::title("Everything is up");
        print::say("In another terminal, in this folder:\n");
        if let Some(line) = kubectl() {
            print::say(&format!("  {line}"));
        }
        let kubectl = match &self.arguments.context {
            Some(context) => format!("kubectl --context {context}"),
            None => {
                print::say(&format!("  export KUBECONFIG={}", whole(&self.arguments.kubeconfig).display()));
                "kubectl".to_owned()
            }
        };
        let commands: &[&str] = match self.arguments.show() {
            Show::Story => &[
                "get goc",
                "apply -f examples/client-credentials.yaml",
                "wait goc/call-reporting -n contact-center --for=condition=Ready --timeout=2m",
                "describe goc call-reporting -n contact-center",
                "delete goc call-reporting -n contact-center",
            ],
            Show::Failures => &["get goc -A", "get goc -A -o wide", "describe goc typing-error -n contact-center", "describe gorg globex"],
        };
        for command in commands {
            print::say(&format!("  {kubectl} {command}"));
        }
        print::say("\nThe whole tour is in README.md.");
        print::say(&format!("Genesys Cloud as its administrators see it: {}/", self.platform_url));
        print::say(&format!("The operator's log: {}", whole(self.log).display()));
        print::say("Ctrl-C stops everything.\n");
    }
}

/// The path from the root, so that it holds in another terminal too.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// How to get a kubectl, if none is on the PATH.
fn kubectl() -> Option<String> {
    let holds = |folder: &Path| folder.join("kubectl").is_file();
    if std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| holds(&folder))) {
        return None;
    }
    let from = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let cache = from("GENESYS_OAUTH_OPERATOR_CACHE")
        .or_else(|| Some(from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")))?.join("genesys-oauth-operator")));
    let folder = cache.map(|cache| cache.join("control-plane/bin")).filter(|folder| holds(folder));
    Some(match folder {
        Some(folder) => format!("export PATH=\"$PATH:{}\"", folder.display()),
        None => "make control-plane   # makes a kubectl, which is not on the PATH, and prints its folder".to_owned(),
    })
}

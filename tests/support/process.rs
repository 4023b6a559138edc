//! `atoll serve` as a process.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// `atoll serve` on a free port; killed when it is dropped.
pub struct Server {
    /// `None`: another value ends it.
    child: Option<Child>,
    id: u32,
    pub url: String,
}

impl Server {
    pub fn start(data: &Path, arguments: &[&str]) -> Server {
        Server::start_with(data, arguments, &[])
    }

    /// As [`Server::start`], with variables of the environment.
    pub fn start_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        Server::start_by(Command::new(env!("CARGO_BIN_EXE_atoll")), data, arguments, variables)
    }

    /// As [`Server::start`], with the data folder on a disk of this size, which only the process sees: others find it
    /// below `/proc/{id}/root`.
    pub fn start_on_small_disk(data: &Path, size: &str, arguments: &[&str]) -> Server {
        let mut command = Command::new("unshare");
        let script = format!("mount -t tmpfs -o size={size} none '{}' && exec \"$@\"", data.display());
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_atoll")]);
        Server::start_by(command, data, arguments, &[])
    }

    fn start_by(mut command: Command, data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/site");
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data)
            .arg("--site")
            .arg(site)
            .args(arguments)
            .env("ATOLL_ROOT_PASSWORD", "Root-pass-1")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| line.unwrap().strip_prefix("Atoll is at ").map(str::to_owned))
            .expect("the address is printed; if not, is the site built? (make build)");
        let url = url.trim_end_matches('/').to_owned();
        Server { id: child.id(), child: Some(child), url }
    }

    /// The same server, which this value does not end.
    pub fn of(other: &Server) -> Server {
        Server { child: None, id: other.id, url: other.url.clone() }
    }

    /// Ends it as the system does.
    pub fn end(mut self) {
        let Some(mut child) = self.child.take() else { return };
        Command::new("kill").arg(self.id.to_string()).status().unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

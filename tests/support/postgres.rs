//! A PostgreSQL server of the test's own, on a free port of loopback.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::port::free_port;

const USER: &str = "atoll";
const PASSWORD: &str = "not-a-secret";

/// A server; it ends when it is dropped.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

/// The folder with the server's programs, wherever the distribution puts them.
fn programs() -> PathBuf {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = of_debian.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    found.reverse();
    found.extend(std::env::split_paths(&on_path));
    found
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .expect("the programs of PostgreSQL (Debian: apt-get install postgresql)")
}

/// PostgreSQL refuses to run as root: then the user that its package has made runs it.
fn other_user() -> Option<(u32, u32)> {
    // The owner of this process's own files.
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    if own != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> =
        line.expect("the user postgres, which the package of PostgreSQL makes").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    if let Some((user, group)) = other_user() {
        // With the user's change the groups of root are dropped, too.
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C");
    command
}

impl Postgres {
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
            chown(&password, Some(user), Some(group)).unwrap();
        }
        let made = program("initdb")
            .args(["--username", USER, "--auth", "scram-sha-256", "--no-sync", "--pwfile"])
            .arg(&password)
            .arg("--pgdata")
            .arg(folder.path().join("cluster"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let mut postgres = Postgres { folder, port, child: None };
        postgres.start_again();
        postgres
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// The address of its database.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it with the data that it had.
    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let child = program("postgres")
            .arg("-D")
            .arg(self.cluster())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(30);
        while !self.answers() {
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not answer:\n{told}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let ready = program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status();
        ready.unwrap().success()
    }

    /// Ends it with all connections.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let stopped = stop(&self.cluster());
        if !stopped {
            let _ = child.kill();
        }
        let _ = child.wait();
    }
}

fn stop(cluster: &Path) -> bool {
    let stop = program("pg_ctl").args(["stop", "--mode", "fast", "--wait", "--silent", "-D"]).arg(cluster).status();
    stop.is_ok_and(|status| status.success())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

//! `atoll serve`: the web application, the hub beside it, and the demo.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use atoll::{
    algorithms, demo,
    hub::{Hub, HubOptions, MailOptions, NewUser, NoticeOptions},
    node::{NodeConfig, Station},
    portal::{Portal, PortalOptions, SessionsAt},
    protocol::is_unprotected,
    serve::{self, AttemptLimits},
    sqlite::keep_private,
};
use axum::{Router, http::HeaderValue};
use clap::Args;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

#[derive(Args)]
pub struct Serve {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "ATOLL_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Folder of the databases (hub.sqlite, sessions.sqlite) and of the demo's files
    #[arg(long, env = "ATOLL_DATA", default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// API of a vantage6 server to use instead of the embedded hub, such as https://vantage6.example/api
    #[arg(long, env = "ATOLL_HUB", value_name = "URL", conflicts_with = "demo")]
    hub: Option<String>,
    /// Reach the vantage6 server of --hub, or be reached at --public-url, by plain HTTP from other machines: passwords,
    /// tokens and results can then be read on their way
    #[arg(long, env = "ATOLL_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
    /// Fill the hub with the demo world and run its three nodes in this process; listens on loopback only
    #[arg(long, env = "ATOLL_DEMO")]
    demo: bool,
    /// Leave the demo node of this organization to be started by `atoll node`; can be given several times
    #[arg(long, env = "ATOLL_WITHOUT_NODE", value_name = "ORGANIZATION", requires = "demo", value_delimiter = ',')]
    without_node: Vec<String>,
    /// Let the demo node of this organization wait for an admin's review before each run; can be given several times
    #[arg(long, env = "ATOLL_REVIEW_AT", value_name = "ORGANIZATION", requires = "demo", value_delimiter = ',')]
    review_at: Vec<String>,
    /// Address under which browsers and nodes reach this server, if it is behind a proxy, such as
    /// https://atoll.example
    #[arg(long, env = "ATOLL_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
    /// Proxy before this server, as an address or a network such as 10.0.0.0/8: its X-Forwarded-For says who asks.
    /// Can be given several times
    #[arg(long, env = "ATOLL_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',', value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// Ask every user of the embedded hub for a code of an authenticator app when signing in
    #[arg(long, env = "ATOLL_TWO_FACTOR", conflicts_with = "hub")]
    two_factor: bool,
    /// Mail server of the embedded hub, for invitations, forgotten passwords and notices:
    /// smtp://user:password@host:587?tls=required. Better said by the variable, since others see a command line
    #[arg(long, env = "ATOLL_SMTP", value_name = "URL", hide_env_values = true, conflicts_with = "hub")]
    smtp: Option<SecretString>,
    /// Mail admins when a review waits, and researchers when their task has ended; needs --smtp
    #[arg(long, env = "ATOLL_NOTIFY_BY_MAIL", requires = "smtp")]
    notify_by_mail: bool,
    /// Post the same notices as JSON to this address, such as that of a chat; they hold ids only
    #[arg(long, env = "ATOLL_WEBHOOK", value_name = "URL", hide_env_values = true, conflicts_with = "hub")]
    webhook: Option<Url>,
    /// File with the key (32 bytes or more) that encrypts the secrets in the embedded hub's database. By default the
    /// credential atoll-secret-key of systemd, then the variable ATOLL_SECRET_KEY, then hub.key in the data folder, which
    /// is made at the first start
    #[arg(long, env = "ATOLL_SECRET_KEY_FILE", value_name = "FILE", conflicts_with = "hub")]
    secret_key_file: Option<PathBuf>,
    /// Second file for the audit log of the embedded hub: every entry is written behind what stands there, as JSON, one a
    /// line, for who ships logs elsewhere. /dev/stdout passes them to the system's journal
    #[arg(long, env = "ATOLL_AUDIT_FILE", value_name = "FILE", conflicts_with = "hub")]
    audit_file: Option<PathBuf>,
    /// Another web interface whose pages may use the API of the embedded hub, such as https://ui.example. Can be given
    /// several times
    #[arg(
        long,
        env = "ATOLL_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin,
        conflicts_with = "hub"
    )]
    allow_origin: Vec<HeaderValue>,
    /// Sender of mail
    #[arg(
        long,
        env = "ATOLL_MAIL_FROM",
        value_name = "ADDRESS",
        default_value = "Atoll <atoll@localhost.localdomain>"
    )]
    mail_from: String,
    /// Database of PostgreSQL for the sessions, so that several portals in front of one hub share them:
    /// postgres://user:password@host/database. Better said by the variable, since others see a command line
    #[arg(long, env = "ATOLL_SESSIONS", value_name = "URL", hide_env_values = true)]
    sessions: Option<SecretString>,
    /// Folder of the built site; by default "site" beside the program or in the folder above it
    #[arg(long, env = "ATOLL_SITE", value_name = "DIR")]
    site: Option<PathBuf>,
}

/// A network, or a single address as a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<IpAddr>().map(IpNet::from);
    single.or_else(|_| text.parse()).map_err(|_| "neither an address nor a network such as 10.0.0.0/8".to_owned())
}

/// The address of a hub's API. What it says beside that would never reach the server, or would stand in the log; so
/// it is not repeated here either.
fn hub_url(text: &str) -> anyhow::Result<Url> {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("--hub (ATOLL_HUB) is no address such as https://vantage6.example/api")?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !is_plain || url.fragment().is_some() {
        bail!("--hub (ATOLL_HUB) has more than scheme, host, port and path, such as https://vantage6.example/api");
    }
    Ok(url)
}

/// Scheme, host and port, as browsers send it.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let origin =
        url.map(|url| url.origin().ascii_serialization()).filter(|origin| origin == text.trim_end_matches('/'));
    origin
        .and_then(|origin| origin.parse().ok())
        .ok_or_else(|| "not an origin such as https://ui.example: scheme, host and port only".to_owned())
}

/// Serves until `stop`.
pub async fn run(options: Serve, stop: CancellationToken) -> anyhow::Result<()> {
    let other_hub = options.hub.as_deref().map(hub_url).transpose()?;
    demo::require_organizations(&options.without_node)?;
    demo::require_organizations(&options.review_at)?;
    if options.demo && !options.listen.ip().is_loopback() {
        bail!("the demo has passwords that everybody knows: it listens on loopback only (--listen 127.0.0.1:PORT)");
    }
    for (flag, url) in [("--hub", &other_hub), ("--public-url", &options.public_url)] {
        if url.as_ref().is_some_and(is_unprotected) && !options.allow_plain_http {
            bail!(
                "{flag} is plain HTTP to another machine: passwords, tokens and results could be read on their way. Use \
                 https://, or say --allow-plain-http"
            );
        }
    }
    std::fs::create_dir_all(&options.data).with_context(|| format!("creating {}", options.data.display()))?;
    super::keep_temporary_files_in(&options.data);
    let has_files = other_hub.is_none() || options.sessions.is_none();
    let mut locks = Vec::new();
    if has_files {
        locks.push(lock(&options.data.join("atoll.lock"), &options.data)?);
    }
    let listener = serve::listen(options.listen).with_context(|| format!("listening on {}", options.listen))?;
    let address = listener.local_addr()?;
    let local = local_url(address);
    let public_url = options.public_url.clone().unwrap_or_else(|| local.clone());
    let mut router = Router::new();
    let limits = Arc::<AttemptLimits>::default();
    let hub = match other_hub {
        Some(_) => None,
        None => {
            let database = options.data.join("hub.sqlite");
            keep_private(&database).with_context(|| format!("writing {}", database.display()))?;
            // Also where another folder has a link to it. It stays open: to close it would end the locks of SQLite.
            locks.push(lock(&database, &options.data)?);
            let hub = Hub::open(HubOptions {
                database,
                secret_key: super::secret_key::of_server(options.secret_key_file.as_deref(), &options.data)?,
                public_url: public_url.as_str().trim_end_matches('/').to_owned(),
                algorithms: algorithms::describe_all(),
                two_factor: options.two_factor,
                allowed_origins: options.allow_origin,
                notices: NoticeOptions { by_mail: options.notify_by_mail, webhook: options.webhook },
                audit_file: options.audit_file,
                limits: limits.clone(),
                mail: options.smtp.map(|server| MailOptions { server, from: options.mail_from.clone() }),
            })
            .await?;
            router = router.merge(hub.router());
            Some(hub)
        }
    };
    // Whatever fails from here on, the audit log is ended.
    let outcome = async {
        if let Some(hub) = &hub {
            match options.demo {
                true => demo::create(hub, &options.data, address.port(), &options.review_at).await?,
                false if hub.is_demo().await? => bail!(
                    "{} holds the demo, whose passwords everybody knows; name another folder with --data, or start \
                     it with --demo",
                    options.data.display()
                ),
                false => {}
            }
        }
        let portal = Portal::new(PortalOptions {
            hub: other_hub.clone().map_or_else(|| local.join("api"), Ok)?,
            public_hub: other_hub.is_none().then(|| public_url.clone()),
            sessions: sessions_at(options.sessions, &options.data)?,
            site: find_site(options.site),
            https: public_url.scheme() == "https",
            trusted_proxies: options.trusted_proxy.clone(),
            demo_accounts: if options.demo { demo::accounts() } else { Vec::new() },
            limits,
            stop: stop.clone(),
        })
        .await?;
        let router = portal.router(router);
        // Last, so that no start that fails takes the only sight of the password along.
        if let Some(hub) = hub.as_ref().filter(|_| !options.demo) {
            create_root(hub).await?;
        }
        print_welcome(&public_url, options.demo, &options.data);
        let mut stations = JoinSet::new();
        if options.demo {
            for organization in
                demo::organizations().filter(|name| !options.without_node.iter().any(|without| without == name))
            {
                let config = NodeConfig::read(&demo::node_config(&options.data, organization))?;
                let station = Station::new(config).run(stop.clone());
                stations.spawn(async move {
                    if let Err(error) = station.await {
                        tracing::error!(%error, organization, "a demo node has stopped");
                    }
                });
            }
        }
        let (ending, closing) = (stop.clone(), hub.clone());
        let closed = tokio::spawn(async move {
            ending.cancelled().await;
            if let Some(hub) = closing {
                hub.close().await;
            }
        });
        serve::serve(listener, router, &options.trusted_proxy, stop.clone()).await;
        stations.join_all().await;
        stop.cancel();
        closed.await?;
        anyhow::Ok(())
    }
    .await;
    // The last entries of the audit log, until the program has ended.
    let _nobody_writes = match &hub {
        Some(hub) => hub.end().await,
        None => None,
    };
    outcome
}

/// Keeps other servers away from a file, and so from a data folder, for as long as it is held: two would each believe to be
/// the only one that writes.
fn lock(path: &Path, data: &Path) -> anyhow::Result<std::fs::File> {
    let file = std::fs::File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("writing {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another atoll serve uses {}; name another folder with --data, or stop it", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Where sessions are stored. What is wrong with an address is not repeated: it may hold a password.
fn sessions_at(url: Option<SecretString>, data: &Path) -> anyhow::Result<SessionsAt> {
    let Some(url) = url else {
        let file = data.join("sessions.sqlite");
        keep_private(&file).with_context(|| format!("writing {}", file.display()))?;
        return Ok(SessionsAt::File(file));
    };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme)) {
        bail!("ATOLL_SESSIONS is no address such as postgres://user:password@host/database");
    }
    Ok(SessionsAt::Postgres(url))
}

/// The address under which this process reaches itself.
fn local_url(address: SocketAddr) -> Url {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    // An address and a port always make a URL.
    Url::parse(&format!("http://{ip}:{}", address.port())).unwrap_or_else(|_| unreachable!())
}

/// The first account, once.
async fn create_root(hub: &Hub) -> anyhow::Result<()> {
    if !hub.is_new().await? {
        return Ok(());
    }
    let given = std::env::var("ATOLL_ROOT_PASSWORD").ok().filter(|password| !password.is_empty());
    let password = given.clone().unwrap_or_else(|| format!("{}-Aa1", uuid::Uuid::new_v4().simple()));
    let mut seed = hub.seed().await?;
    let organization_id = seed.add_organization("root", "").await?;
    let root = NewUser {
        username: "root",
        password: SecretString::from(password.clone()),
        first_name: "",
        last_name: "",
        organization_id,
        role: "Root",
    };
    seed.add_user(root).await.context("the password in ATOLL_ROOT_PASSWORD")?;
    // Before it is kept: a start that ends between must not leave an account whose password nobody knows.
    if given.is_none() {
        if is_heard_by_nobody() {
            bail!(
                "nobody would read the password of root, which is shown once: set ATOLL_ROOT_PASSWORD, or show what is printed"
            );
        }
        let text = format!("First start: the account \"root\" has the password {password}\nIt is not shown again.\n");
        std::io::stdout().write_all(text.as_bytes()).context("showing the password of root")?;
    }
    Ok(seed.commit().await?)
}

/// Whether what is printed goes to /dev/null, as it also does where standard output was closed.
fn is_heard_by_nobody() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &str| std::fs::metadata(path).map(|metadata| metadata.rdev()).ok();
        device("/dev/null").is_some_and(|null| device("/dev/fd/1") == Some(null))
    }
    #[cfg(not(unix))]
    false
}

/// The built site: what was said, else beside the program, else in the folder above it.
fn find_site(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| {
        let program = std::env::current_exe().unwrap_or_default();
        let places = program.ancestors().skip(1).take(2).map(|folder| folder.join("site"));
        places.into_iter().find(|site| site.join("pkg").is_dir()).unwrap_or_else(|| PathBuf::from("target/site"))
    })
}

fn print_welcome(url: &Url, is_demo: bool, data: &Path) {
    let mut text = format!("Atoll is at {url}\n");
    if is_demo {
        text.push_str("Demo accounts, all with the same password:\n");
        for account in demo::accounts() {
            text.push_str(&format!("  {:<12} {}   {}\n", account.username, account.password, account.description));
        }
        text.push_str(&format!("Data of the demo: {}\n", data.display()));
    }
    // Nobody may be listening, and `println!` would panic then.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

//! The world that `--demo` creates: the one of the vantage6 documentation's example session, with real CSV files.

use std::{fs, path::Path};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    hub::{Hub, NewNode, NewUser},
    pages::DemoAccount,
};

/// The password of every demo account.
const PASSWORD: &str = "Atoll-demo-1";
const COLLABORATION: &str = "example_collab1";

/// An organization with a node, and the contents of its two databases.
struct Member {
    name: &'static str,
    country: &'static str,
    default: &'static str,
    other: &'static str,
}

const MEMBERS: [Member; 3] = [
    Member {
        name: "example_org1",
        country: "Netherlands",
        default: include_str!("../demo/data/example_org1/default.csv"),
        other: include_str!("../demo/data/example_org1/my_other_database.csv"),
    },
    Member {
        name: "example_org2",
        country: "Germany",
        default: include_str!("../demo/data/example_org2/default.csv"),
        other: include_str!("../demo/data/example_org2/my_other_database.csv"),
    },
    Member {
        name: "example_org3",
        country: "Belgium",
        default: include_str!("../demo/data/example_org3/default.csv"),
        other: include_str!("../demo/data/example_org3/my_other_database.csv"),
    },
];

/// Accounts: username, first and last name, organization id, role, what the sign-in page says.
const ACCOUNTS: [(&str, &str, &str, i64, &str, &str); 7] = [
    ("researcher", "Rosa", "Researcher", 2, "Researcher", "Researcher of example_org1: creates tasks"),
    ("admin1", "Ada", "Admin", 2, "Organization Admin", "Organization Admin of example_org1"),
    ("admin2", "Ben", "Admin", 3, "Organization Admin", "Organization Admin of example_org2"),
    ("admin3", "Cem", "Admin", 4, "Organization Admin", "Organization Admin of example_org3"),
    ("viewer", "Vera", "Viewer", 4, "Viewer", "Viewer of example_org3: looks, changes nothing"),
    ("root", "", "", 1, "Root", "Root: may do everything, but decides for no organization's data"),
    ("auditor", "Aldo", "Auditor", 1, "Auditor", "Auditor: reads the audit log and all reviews"),
];

/// The accounts, for the sign-in page.
pub fn accounts() -> Vec<DemoAccount> {
    ACCOUNTS
        .iter()
        .map(|(username, .., description)| DemoAccount {
            username: (*username).to_owned(),
            password: PASSWORD.to_owned(),
            description: (*description).to_owned(),
        })
        .collect()
}

/// The node configuration of a member, below the data folder.
pub fn node_config(data: &Path, organization: &str) -> std::path::PathBuf {
    data.join("demo").join(organization).join("node.yaml")
}

/// Names of the organizations that have a node.
pub fn organizations() -> impl Iterator<Item = &'static str> {
    MEMBERS.iter().map(|member| member.name)
}

/// An error for a name that is none of them.
pub fn require_organizations(names: &[String]) -> anyhow::Result<()> {
    match names.iter().find(|name| !organizations().any(|known| known == name.as_str())) {
        Some(other) => anyhow::bail!("the demo has no organization {other} with a node"),
        None => Ok(()),
    }
}

/// Writes organizations, collaboration and users into an empty hub, and for each node files and a configuration. The nodes of some organizations review every run.
pub async fn create(hub: &Hub, data: &Path, port: u16, review_at: &[String]) -> anyhow::Result<()> {
    if hub.is_new().await? {
        let mut seed = hub.seed().await?;
        seed.add_organization("root", "").await?;
        let mut members = Vec::new();
        for member in &MEMBERS {
            members.push(seed.add_organization(member.name, member.country).await?);
        }
        seed.add_collaboration(COLLABORATION, &members).await?;
        for (username, first_name, last_name, organization_id, role, _) in ACCOUNTS {
            let password = SecretString::from(PASSWORD);
            seed.add_user(NewUser { username, password, first_name, last_name, organization_id, role }).await?;
        }
        seed.mark_as_demo().await?;
        seed.commit().await?;
    } else if !hub.is_demo().await? {
        anyhow::bail!("{} holds a hub that is no demo; name another folder with --data", data.display());
    }
    for (index, member) in MEMBERS.iter().enumerate() {
        let path = node_config(data, member.name);
        let api_key = api_key_in(&path).unwrap_or_else(uuid::Uuid::new_v4).to_string().into();
        let folder = path.parent().context("a node's folder")?;
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        fs::write(folder.join("default.csv"), member.default)?;
        fs::write(folder.join("my_other_database.csv"), member.other)?;
        let review = review_at.iter().any(|name| name == member.name);
        write_secret(&path, &yaml(&api_key, port, review))?;
        hub.add_node(NewNode {
            name: &format!("{} node", member.name),
            api_key: &api_key,
            organization_id: index as i64 + 2,
            collaboration_id: 1,
        })
        .await?;
    }
    Ok(())
}

/// The API key of a configuration that an earlier start has written: the node's audit log is signed with it.
fn api_key_in(config: &Path) -> Option<uuid::Uuid> {
    let text = fs::read_to_string(config).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("api_key:")?.trim().parse().ok())
}

fn yaml(api_key: &SecretString, port: u16, review: bool) -> String {
    let review = if review { "  review: always\n" } else { "" };
    format!(
        "# Written anew at each start of the demo.\n\
         api_key: {}\n\
         server_url: http://127.0.0.1\n\
         port: {port}\n\
         api_path: /api\n\
         databases:\n\
         \x20 - label: default\n\
         \x20   type: csv\n\
         \x20   uri: default.csv\n\
         \x20 - label: my_other_database\n\
         \x20   type: csv\n\
         \x20   uri: my_other_database.csv\n\
         # The tables of the demo have four rows, as in the documentation of vantage6: with the limits that hold where\n\
         # nothing is said they would tell nothing. Never do this with data of people.\n\
         policies:\n\
         \x20 minimum_rows: 1\n\
         \x20 smallest_cell: 1\n\
         \x20 smallest_subset: 0\n\
         \x20 largest_parameter_share: 1\n\
         \x20 largest_value_share: 1\n\
         \x20 allowed_identifiers: [age, weight, height, visits]\n\
         {review}",
        api_key.expose_secret()
    )
}

/// A file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

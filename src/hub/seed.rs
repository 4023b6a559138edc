//! What is written into a hub from outside its API: the first account, and the world of the demo.

use secrecy::SecretString;
use sqlx::{Sqlite, Transaction};

use super::{
    Hub, HubError,
    hashing::{Hashing, Who},
    resource::{check_new_password, hash_api_key},
};

/// A user to be written.
pub struct NewUser<'a> {
    pub username: &'a str,
    pub password: SecretString,
    pub first_name: &'a str,
    pub last_name: &'a str,
    pub organization_id: i64,
    pub role: &'a str,
}

/// A node to be written.
pub struct NewNode<'a> {
    pub name: &'a str,
    /// A UUID.
    pub api_key: &'a SecretString,
    pub organization_id: i64,
    pub collaboration_id: i64,
}

impl Hub {
    /// Whether the hub has no user yet: its first start.
    pub async fn is_new(&self) -> Result<bool, HubError> {
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM user").fetch_one(self.state.store.reader()).await?;
        Ok(users == 0)
    }

    /// Whether this is the hub of a demo, whose passwords everybody knows.
    pub async fn is_demo(&self) -> Result<bool, HubError> {
        let marks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM setting WHERE name = 'demo'")
            .fetch_one(self.state.store.reader())
            .await?;
        Ok(marks > 0)
    }

    /// Begins to fill an empty hub: all of it or nothing.
    pub async fn seed(&self) -> Result<Seed<'_>, HubError> {
        Ok(Seed { hub: self, transaction: self.state.store.bookkeeping().begin().await? })
    }

    /// Writes a node, or gives the one that is there a new key; nothing if its organization or collaboration was deleted.
    pub async fn add_node(&self, node: NewNode<'_>) -> Result<(), HubError> {
        use secrecy::ExposeSecret;
        sqlx::query(
            "INSERT INTO node (name, api_key_hash, organization_id, collaboration_id) SELECT ?1, ?2, ?3, ?4
             WHERE EXISTS (SELECT 1 FROM organization WHERE id = ?3)
               AND EXISTS (SELECT 1 FROM collaboration WHERE id = ?4)
             ON CONFLICT (organization_id, collaboration_id) DO UPDATE SET api_key_hash = excluded.api_key_hash",
        )
        .bind(node.name)
        .bind(hash_api_key(node.api_key.expose_secret()))
        .bind(node.organization_id)
        .bind(node.collaboration_id)
        .execute(self.state.store.bookkeeping())
        .await?;
        self.state.store.forget_authorities();
        Ok(())
    }
}

/// What is written at the first start, in one transaction.
pub struct Seed<'a> {
    hub: &'a Hub,
    transaction: Transaction<'static, Sqlite>,
}

impl Seed<'_> {
    /// Writes an organization; its id.
    pub async fn add_organization(&mut self, name: &str, country: &str) -> Result<i64, HubError> {
        let done = sqlx::query("INSERT INTO organization (name, country) VALUES (?, ?)")
            .bind(name)
            .bind(country)
            .execute(&mut *self.transaction)
            .await?;
        Ok(done.last_insert_rowid())
    }

    /// Writes an unencrypted collaboration.
    pub async fn add_collaboration(&mut self, name: &str, organizations: &[i64]) -> Result<(), HubError> {
        let id = sqlx::query("INSERT INTO collaboration (name, encrypted) VALUES (?, 0)")
            .bind(name)
            .execute(&mut *self.transaction)
            .await?
            .last_insert_rowid();
        for organization_id in organizations {
            sqlx::query("INSERT INTO collaboration_organization (collaboration_id, organization_id) VALUES (?, ?)")
                .bind(id)
                .bind(organization_id)
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(())
    }

    /// Writes a user with one of the default roles. The password has to be one that the API would take.
    pub async fn add_user(&mut self, user: NewUser<'_>) -> Result<(), HubError> {
        check_new_password(&user.password, &()).map_err(|error| HubError::bad(error.to_string()))?;
        let hash = Hashing::new(1).turn(Who::Known(0)).await?.hash(user.password).await?;
        let id = sqlx::query(
            "INSERT INTO user (username, password_hash, email, firstname, lastname, organization_id)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(user.username)
        .bind(hash)
        .bind(format!("{}@example.invalid", user.username))
        .bind(user.first_name)
        .bind(user.last_name)
        .bind(user.organization_id)
        .execute(&mut *self.transaction)
        .await?
        .last_insert_rowid();
        sqlx::query(
            "INSERT INTO user_role (user_id, role_id) SELECT ?, id FROM role WHERE name = ? AND is_default_role = 1",
        )
        .bind(id)
        .bind(user.role)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Marks the hub as that of a demo, for good.
    pub async fn mark_as_demo(&mut self) -> Result<(), HubError> {
        sqlx::query("INSERT INTO setting (name, value) VALUES ('demo', x'01')").execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<(), HubError> {
        self.transaction.commit().await?;
        self.hub.state.store.forget_authorities();
        Ok(())
    }
}

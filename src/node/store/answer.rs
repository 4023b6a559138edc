//! Answers that were given. The same question about the same data has the same answer; and no answer is given whose
//! people differ from those of an earlier one by so few that the difference of both would tell of them.

use sqlx::{FromRow, SqliteConnection};

use super::{NodeStore, StoreError};
use crate::{
    algorithms::{Difference, People, Sketch, SketchKey, ToldOf, plain_name},
    protocol::{policy::Limits, timestamp},
};

/// What is asked, and of which data.
pub struct Question {
    /// The hash of function, arguments and database.
    pub hash: String,
    /// The database's label: the same data can be at another path tomorrow.
    pub database: String,
    pub columns: Vec<String>,
    /// What tells whether the database is still the same.
    pub state: String,
    pub limits: Limits,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// JSON.
    pub answer: String,
    /// When it was given (UTC).
    pub at: String,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum ToTell {
    /// What was computed now.
    New,
    /// What was told before: since then fewer people than the limit have come or gone.
    Kept(Kept),
    /// Nothing: the difference to another answer, given at this time, would tell of few. Also where there is nothing but a
    /// refusal to tell, or to compare with: whether something is refused can hang on one person.
    Nothing { since: String },
}

#[derive(FromRow)]
struct Row {
    question: String,
    database: String,
    state: String,
    limits: String,
    rows: i64,
    people: Option<Vec<u8>>,
    persons: Option<i64>,
    value_hashes: Option<Vec<u8>>,
    answer: String,
    at: String,
}

impl Row {
    /// Of whom it told; nobody by name where that is not known, or was stored by something else.
    fn told_of(&self) -> ToldOf {
        let people = || {
            Some(People {
                count: u64::try_from(self.persons?).ok()?,
                names: Sketch::from_bytes(self.people.as_deref()?)?,
                values: Sketch::from_bytes(self.value_hashes.as_deref()?)?,
            })
        };
        ToldOf { rows: u64::try_from(self.rows).unwrap_or_default(), people: people() }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

impl NodeStore {
    /// With which people and values become keys.
    pub async fn sketch_key(&self) -> Result<SketchKey, StoreError> {
        Ok(SketchKey::new(self.secret("people_key").await?))
    }

    /// With which hashes of held results are keyed.
    pub async fn release_key(&self) -> Result<[u8; 32], StoreError> {
        self.secret("release_key").await
    }

    /// A secret of this node, made at the first use.
    async fn secret<const BYTES: usize>(&self, name: &str) -> Result<[u8; BYTES], StoreError> {
        let fresh: [u8; BYTES] = std::array::from_fn(|_| rand::random());
        sqlx::query("INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(fresh.to_vec())
            .execute(&self.pool)
            .await?;
        let secret: Vec<u8> =
            sqlx::query_scalar("SELECT value FROM secret WHERE name = ?").bind(name).fetch_one(&self.pool).await?;
        secret.try_into().map_err(|_| StoreError::Unreadable(format!("the secret {name}")))
    }

    /// The last answer to this question, of whatever data.
    pub async fn last_answer(&self, question: &Question) -> Result<Option<Kept>, StoreError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT answer, at FROM answer WHERE question = ? AND limits = ? ORDER BY id DESC LIMIT 1")
                .bind(&question.hash)
                .bind(json(&question.limits)?)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(answer, at)| Kept { answer, at }))
    }

    /// The answer to this question about exactly these data, under these limits.
    pub async fn kept_answer(&self, question: &Question) -> Result<Option<Kept>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT answer, at FROM answer WHERE question = ? AND state = ? AND limits = ? ORDER BY id DESC LIMIT 1",
        )
        .bind(&question.hash)
        .bind(&question.state)
        .bind(json(&question.limits)?)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(answer, at)| Kept { answer, at }))
    }

    /// When something was told about one of the same columns, of whatever data; the last time.
    pub async fn told_about(&self, question: &Question) -> Result<Option<String>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let Some(id) = about_columns(&mut connection, &question.columns).await?.first().copied() else {
            return Ok(None);
        };
        let at = sqlx::query_scalar("SELECT at FROM answer WHERE id = ?").bind(id);
        Ok(Some(at.fetch_one(&mut *connection).await?))
    }

    /// Decides whether a new answer (JSON) about these people is told, and keeps it if so.
    pub async fn answer(&self, question: &Question, told_of: &ToldOf, answer: &str) -> Result<ToTell, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let to_tell = compare(&mut transaction, question, told_of).await?;
        if to_tell == ToTell::New {
            let people = told_of.people.as_ref();
            sqlx::query(
                "INSERT INTO answer (question, database, columns, state, limits, rows, people, persons, value_hashes, answer,
                 at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&question.hash)
            .bind(&question.database)
            .bind(json(&question.columns)?)
            .bind(&question.state)
            .bind(json(&question.limits)?)
            .bind(i64::try_from(told_of.rows).unwrap_or(i64::MAX))
            .bind(people.map(|people| people.names.to_bytes()))
            .bind(people.and_then(|people| i64::try_from(people.count).ok()))
            .bind(people.map(|people| people.values.to_bytes()))
            .bind(answer)
            .bind(timestamp::now())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(to_tell)
    }
}

/// The answers about one of these columns, the newest first.
async fn about_columns(connection: &mut SqliteConnection, columns: &[String]) -> Result<Vec<i64>, StoreError> {
    let asked: Vec<String> = columns.iter().map(|column| plain_name(column)).collect();
    let all: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, columns FROM answer ORDER BY id DESC").fetch_all(connection).await?;
    let mut found = Vec::new();
    for (id, columns) in all {
        let columns: Vec<String> =
            serde_json::from_str(&columns).map_err(|error| StoreError::Unreadable(error.to_string()))?;
        if columns.iter().any(|column| asked.contains(&plain_name(column))) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Compares with every earlier answer about one of the same columns, the newest first.
async fn compare(
    connection: &mut SqliteConnection,
    question: &Question,
    told_of: &ToldOf,
) -> Result<ToTell, StoreError> {
    let least = question.limits.smallest_subset.unwrap_or_default();
    let limits = json(&question.limits)?;
    let mut refused = None;
    for id in about_columns(connection, &question.columns).await? {
        // One at a time: there may be many.
        let earlier: Row =
            sqlx::query_as("SELECT * FROM answer WHERE id = ?").bind(id).fetch_one(&mut *connection).await?;
        let before = earlier.told_of();
        let is_same_database = earlier.database == question.database;
        let is_same_file = is_same_database && earlier.state == question.state;
        if !(is_same_file && earlier.question == question.hash)
            && difference(told_of, &before, is_same_database, least) == Difference::Enough
        {
            continue;
        }
        if earlier.question == question.hash && earlier.limits == limits {
            return Ok(ToTell::Kept(Kept { answer: earlier.answer, at: earlier.at }));
        }
        // Of the same people another question may be asked, as long as nothing has changed. Whether another database has
        // exactly the same people is told to nobody: with one of them more it would not be answered.
        let is_unchanged =
            is_same_file || is_same_database && before.people.is_some() && before.people == told_of.people;
        let is_same = is_unchanged && before.rows == told_of.rows && before.people == told_of.people;
        if !is_same {
            refused.get_or_insert(earlier.at);
        }
    }
    Ok(refused.map_or(ToTell::New, |since| ToTell::Nothing { since }))
}

/// By how many people an answer differs from an earlier one. What cannot be told from a change of few counts as that.
fn difference(now: &ToldOf, before: &ToldOf, is_same_database: bool, least: u64) -> Difference {
    let more = more(now, before);
    let (Some(people), Some(people_before)) = (&now.people, &before.people) else {
        // Where it is not known who they are their number has to tell.
        return match more {
            more if more >= least => Difference::Enough,
            more if is_same_database => Difference::Few(more),
            _ => Difference::Unknown,
        };
    };
    // The same people with other names have the same values; people who are counted again do not.
    for (now, before) in [(&people.names, &people_before.names), (&people.values, &people_before.values)] {
        match now.difference(before, least) {
            Difference::Enough => {}
            few => return few,
        }
    }
    // About as many people of whom many are others can be the same ones under other names, with values that have changed,
    // as ages do.
    let changed = people.names.changed(&people_before.names);
    let are_others = changed.is_none_or(|changed| changed > (people.count + people_before.count) / 4);
    if more < least && are_others { Difference::Unknown } else { Difference::Enough }
}

/// By how many the numbers of people differ; a row counts as one where nothing else is known.
fn more(now: &ToldOf, before: &ToldOf) -> u64 {
    let count = |people: &Option<People>| people.as_ref().map(|people| people.count);
    match (count(&now.people), count(&before.people)) {
        (Some(now), Some(before)) => now.abs_diff(before),
        (Some(people), None) => people.abs_diff(before.rows).min(now.rows.abs_diff(before.rows)),
        (None, Some(people)) => people.abs_diff(now.rows).min(now.rows.abs_diff(before.rows)),
        (None, None) => now.rows.abs_diff(before.rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People by their numbers, each with the number of their rows and the value of all of these.
    fn told_of(people: impl IntoIterator<Item = (u64, u32, u64)>) -> ToldOf {
        let key = |number: u64| SketchKey::new([3; 16]).key(&number.to_le_bytes());
        let (mut rows, mut count, mut names, mut values) = (0, 0, Sketch::default(), Sketch::default());
        for (person, times, value) in people {
            names.add(key(person), 1);
            values.add(key(1_000_000 + value), times);
            rows += u64::from(times);
            count += 1;
        }
        ToldOf { rows, people: Some(People { count, names, values }) }
    }

    /// People with one row each; ten of them have the same value.
    fn people(range: std::ops::Range<u64>) -> ToldOf {
        told_of(range.map(|person| (person, 1, person / 10)))
    }

    fn rows(rows: u64) -> ToldOf {
        ToldOf { rows, people: None }
    }

    fn question(hash: &str, database: &str, state: &str) -> Question {
        Question {
            hash: hash.to_owned(),
            database: database.to_owned(),
            columns: vec!["age".to_owned()],
            state: state.to_owned(),
            limits: Limits::SAFE,
        }
    }

    async fn store() -> (NodeStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (NodeStore::open(&folder.path().join("node.sqlite")).await.unwrap(), folder)
    }

    async fn tell(store: &NodeStore, question: &Question, told_of: ToldOf, answer: &str) -> String {
        match store.answer(question, &told_of, answer).await.unwrap() {
            ToTell::New => answer.to_owned(),
            ToTell::Kept(kept) => format!("kept {}", kept.answer),
            ToTell::Nothing { .. } => "nothing".to_owned(),
        }
    }

    #[tokio::test]
    async fn one_more_person_changes_no_answer_and_five_do() {
        let (store, _folder) = store().await;
        for (state, told_of, answer, told) in [
            ("monday", people(0..100), "1", "1"),
            ("tuesday", people(0..101), "2", "kept 1"),
            // One for another: as many rows.
            ("wednesday", people(1..101), "3", "kept 1"),
            ("thursday", people(0..105), "4", "4"),
            // Far from the last answer, but not from the first.
            ("friday", people(0..99), "5", "kept 1"),
            ("saturday", people(0..104), "6", "kept 4"),
        ] {
            assert_eq!(
                tell(&store, &question("average of age", "a.csv", state), told_of, answer).await,
                told,
                "{state}"
            );
        }
    }

    #[tokio::test]
    async fn whether_something_is_suppressed_does_not_change_with_one_person_either() {
        let (store, _folder) = store().await;
        let of = |state: &str| question("average of age", "a.csv", state);
        for (state, told_of, answer, told) in [
            ("monday", people(0..9), "suppressed", "suppressed"),
            ("tuesday", people(0..10), "2", "kept suppressed"),
            ("wednesday", people(0..14), "3", "3"),
            ("thursday", people(0..13), "suppressed", "kept 3"),
        ] {
            assert_eq!(tell(&store, &of(state), told_of, answer).await, told, "{state}");
        }
        // Another database that differs by one person gets no answer either, not even a refusal of its own.
        for answer in ["4", "suppressed"] {
            assert_eq!(tell(&store, &question("another", "b.csv", "1"), people(0..10), answer).await, "nothing");
        }
        assert_eq!(tell(&store, &question("another", "b.csv", "1"), people(100..120), "4").await, "4");
    }

    #[tokio::test]
    async fn without_people_the_number_of_rows_tells_and_the_same_data_have_the_same_answer() {
        let (store, _folder) = store().await;
        let of = |state: &str| question("average of age", "a.csv", state);
        assert_eq!(tell(&store, &of("monday"), rows(100), "1").await, "1");
        assert_eq!(store.kept_answer(&of("monday")).await.unwrap().unwrap().answer, "1");
        assert_eq!(store.kept_answer(&of("tuesday")).await.unwrap(), None);
        assert_eq!(tell(&store, &of("tuesday"), rows(100), "2").await, "kept 1");
        assert_eq!(tell(&store, &of("wednesday"), rows(104), "3").await, "kept 1");
        assert_eq!(tell(&store, &of("thursday"), rows(105), "4").await, "4");
    }

    #[tokio::test]
    async fn two_questions_whose_people_differ_by_few_are_not_both_answered() {
        let (store, _folder) = store().await;
        let tell_of = async |hash: &str, database: &str, state: &str, told_of: ToldOf| {
            tell(&store, &question(hash, database, state), told_of, "x").await
        };
        assert_eq!(tell_of("all", "all.csv", "1", people(0..100)).await, "x");
        assert_eq!(tell_of("all but one", "most.csv", "1", people(1..100)).await, "nothing");
        assert_eq!(tell_of("others", "others.csv", "1", people(200..306)).await, "x");
        assert_eq!(
            tell_of("the same under new names, and one more", "new.csv", "1", people(400..501)).await,
            "nothing"
        );
        // That it is exactly the same people is not told, either.
        assert_eq!(tell_of("the same people", "copy.csv", "1", people(0..100)).await, "nothing");
        for name in ["\u{c4}LTER", " a\u{308}lter", "\u{e4}lter\t"] {
            let older = Question { columns: vec!["\u{e4}lter".to_owned()], ..question("older", "all.csv", "1") };
            assert_ne!(tell(&store, &older, people(0..100), "x").await, "nothing");
            let renamed = Question { columns: vec![name.to_owned()], ..question("renamed", "all.csv", "2") };
            assert_eq!(tell(&store, &renamed, people(0..101), "x").await, "nothing", "{name}");
        }
        // Of a file that was only written again another question is answered.
        assert_eq!(tell_of("another", "all.csv", "2", people(0..100)).await, "x");
        // Another question about the same file, after one person has come.
        assert_eq!(tell_of("one more", "all.csv", "3", people(0..101)).await, "nothing");
        let other_column = Question { columns: vec!["height".to_owned()], ..question("all", "all.csv", "2") };
        assert_eq!(tell(&store, &other_column, people(0..99), "x").await, "x");
    }

    #[tokio::test]
    async fn rows_that_are_counted_again_and_people_under_other_names_are_no_change() {
        let hundred = || (0..100_u64).map(|person| (person, 1, person / 10));
        let newcomer = (999, 5, 99);
        let renamed = |some: u64| {
            hundred().map(move |(person, rows, value)| (person + if person < some { 1_000 } else { 0 }, rows, value))
        };
        let aged = hundred().map(|(person, rows, value)| (person + 1_000, rows, value + 1));
        for (what, now) in [
            ("somebody else has come five times", told_of(hundred().chain([newcomer]))),
            (
                "five come again",
                told_of(hundred().map(|(person, rows, value)| (person, rows + u32::from(person < 5), value))),
            ),
            ("everything twice", told_of(hundred().map(|(person, rows, value)| (person, 2 * rows, value)))),
            (
                "everything twice without one",
                told_of(hundred().skip(1).map(|(person, rows, value)| (person, 2 * rows, value))),
            ),
            ("two names written otherwise, and one more", told_of(renamed(2).chain([(999, 1, 99)]))),
            ("half of the names, and one more", told_of(renamed(49).chain([(999, 1, 99)]))),
            ("all names, and one more", told_of(renamed(100).chain([(999, 1, 99)]))),
            ("all names, all a year older, and one more", told_of(aged.chain([(999, 1, 99)]))),
            ("five of ten names for one person", told_of(hundred().chain((0..5).map(|part| (2_000 + part, 0, 99))))),
            ("all values", told_of(hundred().map(|(person, rows, value)| (person, rows, value + 1)))),
        ] {
            for database in ["a.csv", "b.csv"] {
                let (store, _folder) = store().await;
                assert_eq!(tell(&store, &question("average", "a.csv", "1"), told_of(hundred()), "1").await, "1");
                let told =
                    tell(&store, &question(&format!("average of {database}"), database, "2"), now.clone(), "2").await;
                assert_eq!(told, "nothing", "{what}, {database}");
                let again = question("average", "a.csv", "2");
                assert_eq!(tell(&store, &again, now.clone(), "2").await, "kept 1", "{what}");
            }
        }
        for (what, now) in [
            ("five more", told_of(hundred().chain((200..205).map(|person| (person, 1, person))))),
            ("five fewer", told_of(hundred().skip(5))),
            ("five others for five", told_of(hundred().skip(5).chain((200..205).map(|person| (person, 1, person))))),
            ("three times as many others", told_of((1_000..1_300).map(|person| (person, 1, person / 3)))),
            ("many more", told_of((0..620).map(|person| (person, 1, person / 10)))),
        ] {
            let (store, _folder) = store().await;
            assert_eq!(tell(&store, &question("average", "a.csv", "1"), told_of(hundred()), "1").await, "1");
            assert_eq!(tell(&store, &question("average", "a.csv", "2"), now, "2").await, "2", "{what}");
        }
    }

    #[tokio::test]
    async fn a_database_that_names_nobody_is_compared_by_what_is_known() {
        let (store, _folder) = store().await;
        assert_eq!(tell(&store, &question("a", "a.csv", "1"), rows(100), "1").await, "1");
        // One person more, who has five rows.
        let named = told_of((0..100).map(|person| (person, 1, person)).chain([(999, 5, 7)]));
        assert_eq!(tell(&store, &question("b", "b.csv", "1"), named, "2").await, "nothing");
        assert_eq!(tell(&store, &question("c", "c.csv", "1"), people(0..120), "3").await, "3");
    }

    #[tokio::test]
    async fn an_answer_under_other_limits_is_not_given_again() {
        let (store, _folder) = store().await;
        let weaker = Question {
            limits: Limits { minimum_rows: Some(1), ..Limits::SAFE },
            ..question("average of age", "a.csv", "monday")
        };
        assert_eq!(tell(&store, &weaker, people(0..100), "1").await, "1");
        assert_eq!(store.kept_answer(&question("average of age", "a.csv", "monday")).await.unwrap(), None);
        let later = question("average of age", "a.csv", "tuesday");
        assert_eq!(tell(&store, &later, people(0..101), "2").await, "nothing");
    }
}

//! Answers that were given. The same question about the same data has the same answer; and no answer is given whose
//! people differ from those of an earlier one by so few that the difference of both would tell of them.

use sqlx::{FromRow, SqliteConnection};

use super::{NodeStore, StoreError};
use crate::{
    algorithms::{Difference, People, PeopleKey, ToldOf},
    protocol::{policy::Limits, timestamp},
};

/// What is asked, and of which data.
pub struct Question {
    /// The hash of function, arguments and database.
    pub hash: String,
    /// The database's label: the same data can be at another path tomorrow.
    pub database: String,
    /// The column that says who its rows are about.
    pub person: Option<String>,
    pub columns: Vec<String>,
    /// What tells whether the database is still the same.
    pub state: String,
    pub limits: Limits,
}

/// An answer as it is about to be given.
pub struct Answered<'a> {
    /// JSON.
    pub text: &'a str,
    /// Whether it says only that nothing may be told. That changes with a single person, too, and tells of them.
    pub is_suppressed: bool,
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
    /// Nothing: the difference to another answer, given at this time, would tell of few.
    Nothing { since: String },
}

#[derive(FromRow)]
struct Row {
    question: String,
    database: String,
    person: Option<String>,
    state: String,
    limits: String,
    rows: i64,
    people: Option<Vec<u8>>,
    persons: Option<i64>,
    answer: String,
    suppressed: bool,
    at: String,
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

impl NodeStore {
    /// With which people become keys.
    pub async fn people_key(&self) -> Result<PeopleKey, StoreError> {
        Ok(PeopleKey::new(self.secret("people_key").await?))
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

    /// Decides whether a new answer about these people is told, and keeps it if so.
    pub async fn answer(
        &self,
        question: &Question,
        told_of: &ToldOf,
        answer: &Answered<'_>,
    ) -> Result<ToTell, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let to_tell = compare(&mut transaction, question, told_of, answer).await?;
        if to_tell == ToTell::New {
            sqlx::query(
                "INSERT INTO answer (question, database, person, columns, state, limits, rows, people, persons, answer, suppressed, at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&question.hash)
            .bind(&question.database)
            .bind(&question.person)
            .bind(json(&question.columns)?)
            .bind(&question.state)
            .bind(json(&question.limits)?)
            .bind(i64::try_from(told_of.rows).unwrap_or(i64::MAX))
            .bind(told_of.people.as_ref().map(People::to_bytes))
            .bind(told_of.persons.and_then(|persons| i64::try_from(persons).ok()))
            .bind(answer.text)
            .bind(answer.is_suppressed)
            .bind(timestamp::now())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(to_tell)
    }
}

/// Compares with every earlier answer about one of the same columns, the newest first.
async fn compare(
    connection: &mut SqliteConnection,
    question: &Question,
    told_of: &ToldOf,
    answer: &Answered<'_>,
) -> Result<ToTell, StoreError> {
    let least = question.limits.smallest_subset.unwrap_or_default();
    let limits = json(&question.limits)?;
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM answer WHERE EXISTS (SELECT 1 FROM json_each(answer.columns) JOIN json_each(?) AS asked
         ON lower(trim(asked.value)) = lower(trim(json_each.value))) ORDER BY id DESC",
    )
    .bind(json(&question.columns)?)
    .fetch_all(&mut *connection)
    .await?;
    let mut refused = None;
    for id in ids {
        // One at a time: there may be many.
        let earlier: Row =
            sqlx::query_as("SELECT * FROM answer WHERE id = ?").bind(id).fetch_one(&mut *connection).await?;
        let few = match difference(question, told_of, &earlier, least) {
            Difference::Enough => continue,
            Difference::Few(few) => Some(few),
            Difference::Unknown => None,
        };
        if earlier.question == question.hash && earlier.limits == limits {
            return Ok(ToTell::Kept(Kept { answer: earlier.answer, at: earlier.at }));
        }
        // What tells of nobody differs by nobody.
        if answer.is_suppressed || earlier.suppressed {
            continue;
        }
        // Of the same people another question may be asked, as long as nothing has changed. In another database a value of
        // one of them can be another, and the difference of both answers would be theirs.
        let is_unchanged = earlier.state == question.state && earlier.database == question.database;
        let is_same = few == Some(0) && (is_unchanged || earlier.answer == answer.text);
        if !is_same {
            refused.get_or_insert(earlier.at);
        }
    }
    Ok(refused.map_or(ToTell::New, |since| ToTell::Nothing { since }))
}

/// By how many people an answer differs from an earlier one. About as many people of whom most are others can be the same
/// ones under other names, as after an export with new pseudonyms: nobody knows. Where it is not known who they are, the
/// number of rows has to tell, which does not see that one was replaced by another.
fn difference(question: &Question, told_of: &ToldOf, earlier: &Row, least: u64) -> Difference {
    let is_same_database = earlier.database == question.database;
    if is_same_database && earlier.state == question.state && earlier.question == question.hash {
        return Difference::Few(0);
    }
    let (rows, before) = (told_of.rows, u64::try_from(earlier.rows).unwrap_or_default());
    let by_rows = rows.abs_diff(before);
    let people_before = earlier.people.as_deref().and_then(People::from_bytes);
    // Keys of another column are keys of something else.
    if let (Some(now), Some(then)) = (&told_of.people, people_before)
        && earlier.person == question.person
    {
        let difference = now.difference(&then, least);
        let then_persons = earlier.persons.and_then(|persons| u64::try_from(persons).ok());
        let by_people = told_of.persons.zip(then_persons).map_or(0, |(now, then)| now.abs_diff(then));
        let are_others = || now.rows_changed(&then).is_none_or(|changed| changed > rows.saturating_add(before) / 2);
        return match difference {
            Difference::Enough if by_people < least && are_others() => Difference::Unknown,
            difference => difference,
        };
    }
    match by_rows {
        rows if rows >= least => Difference::Enough,
        rows if is_same_database => Difference::Few(rows),
        _ => Difference::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [3; 16];

    fn people(range: std::ops::Range<u64>) -> ToldOf {
        let mut people = People::default();
        for id in range.clone() {
            people.add(PeopleKey::new(KEY).key(&id.to_le_bytes()));
        }
        let persons = range.end - range.start;
        ToldOf { rows: persons, people: Some(people), persons: Some(persons) }
    }

    fn rows(rows: u64) -> ToldOf {
        ToldOf { rows, people: None, persons: None }
    }

    fn question(hash: &str, database: &str, state: &str) -> Question {
        Question {
            hash: hash.to_owned(),
            database: database.to_owned(),
            person: None,
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
        let answered = Answered { text: answer, is_suppressed: answer == "suppressed" };
        match store.answer(question, &told_of, &answered).await.unwrap() {
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
        // It stands in the way of no other question.
        assert_eq!(tell(&store, &question("another", "b.csv", "1"), people(0..10), "4").await, "nothing", "but of 14");
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
        let copy = question("the same people", "copy.csv", "1");
        assert_eq!(tell(&store, &copy, people(0..100), "y").await, "nothing", "a value is another");
        assert_eq!(tell(&store, &copy, people(0..100), "x").await, "x");
        let renamed = Question { columns: vec![" Age".to_owned()], ..question("renamed", "all.csv", "2") };
        assert_eq!(tell(&store, &renamed, people(0..101), "x").await, "nothing");
        // Another question about the same file, after one person has come.
        assert_eq!(tell_of("another", "all.csv", "2", people(0..101)).await, "nothing");
        let other_column = Question { columns: vec!["height".to_owned()], ..question("all", "all.csv", "2") };
        assert_eq!(tell(&store, &other_column, people(0..99), "x").await, "x");
    }

    #[tokio::test]
    async fn new_names_for_everybody_hide_nobody_who_has_many_rows() {
        let (store, _folder) = store().await;
        // Sixty people with two rows each; then under new names, and one more with five.
        let twice = |range: std::ops::Range<u64>, more: u64| {
            let mut people = People::default();
            let key = |id: u64| PeopleKey::new(KEY).key(&id.to_le_bytes());
            range.clone().for_each(|id| (0..2).for_each(|_| people.add(key(id))));
            (0..more).for_each(|_| people.add(key(999_999)));
            let persons = range.end - range.start + u64::from(more > 0);
            ToldOf { rows: 2 * (range.end - range.start) + more, people: Some(people), persons: Some(persons) }
        };
        let of = |state: &str| question("average of age", "a.csv", state);
        assert_eq!(tell(&store, &of("monday"), twice(0..60, 0), "1").await, "1");
        assert_eq!(tell(&store, &of("tuesday"), twice(100..160, 5), "2").await, "kept 1");
        assert_eq!(tell(&store, &of("wednesday"), twice(100..165, 0), "3").await, "3");
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

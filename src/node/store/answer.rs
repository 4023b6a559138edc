//! Answers that were given. The same question about the same people has the same answer; and no answer is given whose
//! people differ from those of an earlier one by so few that the difference of both would tell of them. What is decided
//! here depends on who is in the data, and on nobody's values: else it would tell of them.

use sqlx::{FromRow, SqliteConnection};

use super::{NodeStore, StoreError};
use crate::{
    algorithms::{Change, Group, People, Sketch, SketchKey, ToldOf},
    protocol::{name::plain_name, policy::Limits, timestamp},
};

/// What is asked, and of which data.
pub struct Question {
    /// The hash of function, arguments and database.
    pub hash: String,
    /// The database's label: the same data can be at another path tomorrow.
    pub database: String,
    pub columns: Vec<String>,
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
    /// Nothing yet: it has to be computed without those with these keys, who have come since something was told.
    Without(Vec<u64>),
    /// Nothing: the difference to another answer, given at this time, would tell of few. Also where there is nothing but a
    /// refusal to tell, or to compare with: whether something is refused can hang on one person.
    Nothing { since: String },
}

#[derive(FromRow)]
struct Row {
    question: String,
    database: String,
    columns: String,
    limits: String,
    rows: i64,
    people: Option<Vec<u8>>,
    persons: Option<i64>,
    table_rows: Option<i64>,
    table_people: Option<Vec<u8>>,
    table_persons: Option<i64>,
    answer: String,
    at: String,
}

/// A group as it was stored; of whom it consists only if that is known, and was not stored by something else.
fn group(rows: i64, people: Option<&[u8]>, persons: Option<i64>) -> Group {
    let people = || Some(People { count: u64::try_from(persons?).ok()?, names: Sketch::from_bytes(people?)? });
    Group { rows: u64::try_from(rows).unwrap_or_default(), people: people() }
}

impl Row {
    fn taking_part(&self) -> Group {
        group(self.rows, self.people.as_deref(), self.persons)
    }

    fn table(&self) -> Option<Group> {
        Some(group(self.table_rows?, self.table_people.as_deref(), self.table_persons))
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

    /// When something was told about one of the same columns, of whatever data; the last time.
    pub async fn told_about(&self, question: &Question) -> Result<Option<String>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let told: Vec<(String, String)> =
            sqlx::query_as("SELECT columns, at FROM answer ORDER BY id DESC").fetch_all(&mut *connection).await?;
        for (columns, at) in told {
            if shares_a_column(&question.columns, &columns)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Decides whether a new answer (JSON) about these people is told, and keeps it if so.
    pub async fn answer(&self, question: &Question, told_of: &ToldOf, answer: &str) -> Result<ToTell, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let to_tell = compare(&mut transaction, question, told_of).await?;
        if to_tell == ToTell::New {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let ToldOf { taking_part, table } = told_of;
            let (people, of_table) = (taking_part.people.as_ref(), table.people.as_ref());
            // Where every question is answered anew, it is kept once for the same people.
            sqlx::query(
                "DELETE FROM answer WHERE question = ? AND limits = ? AND rows = ? AND people IS ? AND table_rows = ?
                 AND table_people IS ?",
            )
            .bind(&question.hash)
            .bind(json(&question.limits)?)
            .bind(number(taking_part.rows))
            .bind(people.map(|people| people.names.to_bytes()))
            .bind(number(table.rows))
            .bind(of_table.map(|people| people.names.to_bytes()))
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO answer (question, database, columns, limits, rows, people, persons, table_rows, table_people,
                 table_persons, answer, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&question.hash)
            .bind(&question.database)
            .bind(json(&question.columns)?)
            .bind(json(&question.limits)?)
            .bind(number(taking_part.rows))
            .bind(people.map(|people| people.names.to_bytes()))
            .bind(people.map(|people| number(people.count)))
            .bind(number(table.rows))
            .bind(of_table.map(|people| people.names.to_bytes()))
            .bind(of_table.map(|people| number(people.count)))
            .bind(answer)
            .bind(timestamp::now())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(to_tell)
    }
}

/// Whether one of these columns is among those of an answer (JSON).
fn shares_a_column(asked: &[String], of_answer: &str) -> Result<bool, StoreError> {
    let of_answer: Vec<String> =
        serde_json::from_str(of_answer).map_err(|error| StoreError::Unreadable(error.to_string()))?;
    let of_answer: Vec<String> = of_answer.iter().map(|column| plain_name(column)).collect();
    Ok(asked.iter().any(|column| of_answer.contains(&plain_name(column))))
}

/// Compares with every earlier answer about one of the same columns, or about the same database: who has come to it must
/// not be told by asking about one column before and about another one after that.
async fn compare(
    connection: &mut SqliteConnection,
    question: &Question,
    told_of: &ToldOf,
) -> Result<ToTell, StoreError> {
    let least = question.limits.smallest_subset.unwrap_or_default();
    if least <= 1 {
        // Whoever permits this lets everybody be told apart.
        return Ok(ToTell::New);
    }
    let limits = json(&question.limits)?;
    let (mut kept, mut last_told_of, mut conflict) = (None, None, None);
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM answer ORDER BY id DESC").fetch_all(&mut *connection).await?;
    for id in ids {
        // One at a time: there may be many.
        let earlier: Row =
            sqlx::query_as("SELECT * FROM answer WHERE id = ?").bind(id).fetch_one(&mut *connection).await?;
        let is_same_database = earlier.database == question.database;
        let is_about_column = shares_a_column(&question.columns, &earlier.columns)?;
        let is_same_question = earlier.question == question.hash && earlier.limits == limits;
        let mut tells_of_few = false;
        if let Some(table) = earlier.table().filter(|_| is_same_database) {
            tells_of_few |= difference(&told_of.table, &table, least) == Difference::Few;
            last_told_of.get_or_insert(table);
        }
        if is_about_column {
            tells_of_few |= match difference(&told_of.taking_part, &earlier.taking_part(), least) {
                Difference::Enough => false,
                Difference::Few => true,
                // Of the same people another question may be asked. Whether another database has exactly the same people
                // is told to nobody: with one of them more it would not be answered.
                Difference::None => is_same_question || !is_same_database,
            };
        }
        if tells_of_few {
            conflict.get_or_insert_with(|| earlier.at.clone());
        }
        if is_same_question && kept.is_none() {
            kept = Some(Kept { answer: earlier.answer, at: earlier.at });
        }
    }
    Ok(match (conflict, kept) {
        (None, _) => ToTell::New,
        // Whatever was told may be told again.
        (Some(_), Some(kept)) => ToTell::Kept(kept),
        (Some(since), None) => match last_told_of.and_then(|before| newcomers(&told_of.table, &before)) {
            Some(newcomers) => ToTell::Without(newcomers),
            None => ToTell::Nothing { since },
        },
    })
}

/// By how many people two answers differ.
#[derive(Debug, PartialEq)]
enum Difference {
    /// By nobody, as far as that is known.
    None,
    /// By so few that the difference would tell of them.
    Few,
    Enough,
}

/// Compares two groups. They differ by enough if one has at least `least` people more than the other, and nobody comes
/// or goes alone. The first holds even where people get other names, and so would come and go: as many do both. The
/// second holds for up to about 150 who come and go.
fn difference(now: &Group, before: &Group, least: u64) -> Difference {
    let more = |now: u64, before: u64| match now.abs_diff(before) {
        0 => Difference::None,
        more if more < least => Difference::Few,
        _ => Difference::Enough,
    };
    match (&now.people, &before.people) {
        (Some(now), Some(before)) => match now.names.change_since(&before.names) {
            Change::Known { came, gone: 0 } if came.is_empty() => Difference::None,
            Change::Known { came, gone } if [came.len() as u64, gone].iter().any(|some| *some > 0 && *some < least) => {
                Difference::Few
            }
            _ => match more(now.count, before.count) {
                Difference::None => Difference::Few,
                difference => difference,
            },
        },
        // Where it is not known who they are their number has to tell.
        (None, None) => more(now.rows, before.rows),
        (Some(people), None) | (None, Some(people)) => {
            let rows = if now.people.is_some() { before.rows } else { now.rows };
            match (more(people.count, rows), more(now.rows, before.rows)) {
                (Difference::Enough, Difference::Enough) => Difference::Enough,
                (_, Difference::None) => Difference::None,
                _ => Difference::Few,
            }
        }
    }
}

/// The keys of those who have come, if nobody is gone.
fn newcomers(now: &Group, before: &Group) -> Option<Vec<u64>> {
    match now.people.as_ref()?.names.change_since(&before.people.as_ref()?.names) {
        Change::Known { came, gone: 0 } if !came.is_empty() => Some(came),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn names(people: impl IntoIterator<Item = u64>) -> Group {
        let mut group = Group { rows: 0, people: None };
        let (mut count, mut names) = (0, Sketch::default());
        for person in people {
            names.add(SketchKey::new([3; 16]).key(&person.to_le_bytes()));
            count += 1;
        }
        group.rows = count;
        group.people = Some(People { count, names });
        group
    }

    /// The whole table takes part.
    fn all(group: Group) -> ToldOf {
        ToldOf { taking_part: group.clone(), table: group }
    }

    fn people(range: Range<u64>) -> ToldOf {
        all(names(range))
    }

    fn rows(rows: u64) -> ToldOf {
        all(Group { rows, people: None })
    }

    fn question(hash: &str, database: &str, column: &str) -> Question {
        Question {
            hash: format!("{hash} of {column} in {database}"),
            database: database.to_owned(),
            columns: vec![column.to_owned()],
            limits: Limits::SAFE,
        }
    }

    fn age() -> Question {
        question("average", "a", "age")
    }

    async fn empty_store() -> (NodeStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (NodeStore::open(&folder.path().join("node.sqlite")).await.unwrap(), folder)
    }

    async fn tell(store: &NodeStore, question: &Question, told_of: ToldOf, answer: &str) -> String {
        match store.answer(question, &told_of, answer).await.unwrap() {
            ToTell::New => answer.to_owned(),
            ToTell::Kept(kept) => format!("kept {}", kept.answer),
            ToTell::Without(keys) => format!("without {}", keys.len()),
            ToTell::Nothing { .. } => "nothing".to_owned(),
        }
    }

    #[tokio::test]
    async fn one_more_person_changes_no_answer_and_five_do() {
        let (store, _folder) = empty_store().await;
        for (told_of, answer, told) in [
            (people(0..100), "1", "1"),
            (people(0..100), "2", "kept 1"),
            (people(0..101), "3", "kept 1"),
            // One for another: as many rows.
            (people(1..101), "4", "kept 1"),
            (people(0..105), "5", "5"),
            // Far from the last answer, but not from the first.
            (people(0..99), "6", "kept 5"),
            (people(0..104), "7", "kept 5"),
        ] {
            assert_eq!(tell(&store, &age(), told_of, answer).await, told);
        }
    }

    #[tokio::test]
    async fn whether_something_is_suppressed_does_not_change_with_one_person_either() {
        let (store, _folder) = empty_store().await;
        for (told_of, answer, told) in [
            (people(0..9), "suppressed", "suppressed"),
            (people(0..10), "2", "kept suppressed"),
            (people(0..14), "3", "3"),
            (people(0..13), "suppressed", "kept 3"),
        ] {
            assert_eq!(tell(&store, &age(), told_of, answer).await, told);
        }
        // Another database that differs by one person gets no answer either, not even a refusal of its own.
        let other = question("average", "b", "age");
        for answer in ["4", "suppressed"] {
            assert_eq!(tell(&store, &other, people(0..10), answer).await, "nothing");
        }
        assert_eq!(tell(&store, &other, people(100..120), "4").await, "4");
    }

    #[tokio::test]
    async fn who_comes_and_who_goes_are_looked_at_apart_and_other_names_are_nobody_new() {
        let some = |stay: Range<u64>, come: u64| all(names(stay.chain(200..200 + come)));
        for (what, now, told) in [
            ("four are gone and one has come", some(4..100, 1), "kept 1"),
            ("one is gone and four have come", some(1..100, 4), "kept 1"),
            ("one is gone and twenty have come", some(1..100, 20), "kept 1"),
            ("twenty are gone and one has come", some(20..100, 1), "kept 1"),
            ("two have other names, and one has come", some(2..100, 3), "kept 1"),
            ("half have other names, and one has come", some(50..100, 51), "kept 1"),
            ("all have other names, and one has come", some(0..0, 101), "kept 1"),
            ("five for five", some(5..100, 5), "kept 1"),
            ("five more", some(0..100, 5), "2"),
            ("five fewer", some(5..100, 0), "2"),
            ("six are gone and twelve have come", some(6..100, 12), "2"),
            ("half have other names, and five have come", some(50..100, 55), "2"),
            ("many more", some(0..100, 520), "2"),
            ("three times as many others", some(0..0, 300), "2"),
        ] {
            let (store, _folder) = empty_store().await;
            assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
            assert_eq!(tell(&store, &age(), now.clone(), "2").await, told, "{what}");
            let (store, _other_folder) = empty_store().await;
            assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
            let elsewhere = if told == "2" { "2" } else { "nothing" };
            assert_eq!(tell(&store, &question("average", "b", "age"), now, "2").await, elsewhere, "{what}");
        }
    }

    #[tokio::test]
    async fn another_column_tells_of_the_people_of_before_and_of_no_newcomer() {
        let (store, _folder) = empty_store().await;
        let height = question("average", "a", "height");
        assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
        // Asked for the first time after one has come, and after one is gone.
        assert_eq!(tell(&store, &height, people(0..101), "2").await, "without 1");
        assert_eq!(tell(&store, &height, people(0..99), "2").await, "nothing");
        assert_eq!(tell(&store, &height, people(1..101), "2").await, "nothing");
        assert_eq!(tell(&store, &height, people(0..100), "2").await, "2");
        // One who was there gets a value.
        let part = ToldOf { taking_part: names(0..99), table: names(0..100) };
        assert_eq!(tell(&store, &question("average", "a", "weight"), part, "3").await, "3");
        assert_eq!(tell(&store, &question("average", "a", "weight"), people(0..100), "4").await, "kept 3");
        assert_eq!(tell(&store, &question("spread", "a", "weight"), people(0..100), "5").await, "nothing");
        // Another question about the same people, and about one more.
        assert_eq!(tell(&store, &question("spread", "a", "age"), people(0..101), "6").await, "without 1");
        assert_eq!(tell(&store, &question("spread", "a", "age"), people(0..100), "6").await, "6");
        // Enough have come, but only one of them has a value.
        assert_eq!(
            tell(&store, &height, ToldOf { taking_part: names(0..101), table: names(0..105) }, "7").await,
            "kept 2"
        );
        assert_eq!(tell(&store, &height, people(0..105), "8").await, "8");
        // Another database with another column has nothing to do with it.
        assert_eq!(tell(&store, &question("average", "b", "income"), people(0..101), "9").await, "9");
    }

    #[tokio::test]
    async fn without_people_the_number_of_rows_tells() {
        let (store, _folder) = empty_store().await;
        assert_eq!(tell(&store, &age(), rows(100), "1").await, "1");
        assert_eq!(tell(&store, &age(), rows(100), "2").await, "kept 1");
        assert_eq!(tell(&store, &age(), rows(104), "3").await, "kept 1");
        let height = question("average", "a", "height");
        assert_eq!(tell(&store, &height, rows(101), "4").await, "nothing");
        assert_eq!(tell(&store, &height, rows(100), "4").await, "4");
        assert_eq!(tell(&store, &age(), rows(105), "5").await, "5");
        // Whoever names people later is compared by what is known.
        let named = ToldOf { taking_part: Group { rows: 106, ..names(0..101) }, ..people(0..101) };
        assert_eq!(tell(&store, &question("average", "b", "age"), named, "6").await, "nothing");
        assert_eq!(tell(&store, &question("average", "c", "age"), people(0..120), "7").await, "7");
    }

    #[tokio::test]
    async fn two_databases_whose_people_differ_by_few_are_not_both_answered() {
        let (store, _folder) = empty_store().await;
        let tell_of = async |database: &str, told_of: ToldOf| {
            tell(&store, &question("average", database, "age"), told_of, "x").await
        };
        assert_eq!(tell_of("all", people(0..100)).await, "x");
        assert_eq!(tell_of("all but one", people(1..100)).await, "nothing");
        assert_eq!(tell_of("others", people(200..306)).await, "x");
        assert_eq!(tell_of("the same under new names, and one more", people(400..501)).await, "nothing");
        // That it is exactly the same people is not told, either.
        assert_eq!(tell_of("the same people", people(0..100)).await, "nothing");
        for name in ["\u{c4}LTER", " a\u{308}lter", "\u{e4}lter\t"] {
            let (store, _folder) = empty_store().await;
            let older = question("average", "a", "\u{e4}lter");
            assert_eq!(tell(&store, &older, people(0..100), "x").await, "x");
            for (database, told) in [("a", "without 1"), ("b", "nothing")] {
                let renamed = question("average", database, name);
                assert_eq!(tell(&store, &renamed, people(0..101), "x").await, told, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_under_other_limits_is_not_given_again() {
        let (store, _folder) = empty_store().await;
        let weaker = Question { limits: Limits { minimum_rows: Some(1), ..Limits::SAFE }, ..age() };
        assert_eq!(tell(&store, &weaker, people(0..100), "1").await, "1");
        assert_eq!(tell(&store, &age(), people(1..101), "2").await, "nothing");
        assert_eq!(tell(&store, &age(), people(0..100), "2").await, "2");
        let none = Question { limits: Limits { smallest_subset: None, ..Limits::SAFE }, ..age() };
        for _ in 0..2 {
            assert_eq!(tell(&store, &none, people(1..101), "3").await, "3");
        }
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM answer").fetch_one(&store.pool).await.unwrap();
        assert_eq!(kept, 3);
    }
}

//! Answers that were given. The same question about the same people has the same answer; and no answer is given whose
//! people differ from those of an earlier one by so few that the difference of both would tell of them. What is decided
//! here depends on who is in the data, and on nobody's values: else it would tell of them.

use sha2::{Digest, Sha256};
use sqlx::{FromRow, SqliteConnection};

use super::{
    NodeStore, StoreError,
    difference::{
        Difference, are_known_to_each_other, are_mostly_the_same, difference, have_most_in_common, newcomers,
        table_difference,
    },
};
use crate::{
    algorithms::{Group, People, Sketch, SketchKey, ToldOf},
    protocol::{name::plain_name, timestamp},
};

/// What is asked, and of which data.
#[derive(Clone)]
pub struct Question {
    /// The hash of function, arguments and database.
    pub hash: String,
    /// The database's label: the same data can be at another path tomorrow.
    pub database: String,
    pub columns: Vec<String>,
    /// All columns of the database, as far as they are known.
    pub all_columns: Vec<String>,
    /// The column that says who rows are about.
    pub person: Option<String>,
    /// Databases of which the configuration says that other people are in them.
    pub other_people: Vec<String>,
    /// How few people two answers may not differ by.
    pub least: u64,
    /// How many people an answer needs at least.
    pub minimum: u64,
    /// JSON: under which rules something is told or refused.
    pub rules: String,
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
    person: Option<String>,
    rows: i64,
    people: Option<Vec<u8>>,
    persons: Option<i64>,
    table_rows: Option<i64>,
    table_people: Option<Vec<u8>>,
    table_persons: Option<i64>,
    table_row_counts: Option<Vec<u8>>,
    value_counts: Option<Vec<u8>>,
    /// Empty where nothing was told.
    answer: String,
    refused: bool,
    at: String,
}

impl Row {
    /// Of whom it told; of whom the groups consist only if that was known. Identifiers count, whatever their column is
    /// called.
    fn told_of(&self) -> (Group, Option<Group>) {
        let is_known = self.person.is_some();
        let group = |rows: i64, names: &Option<Vec<u8>>, count: Option<i64>, row_counts: Option<&[u8]>| {
            let people = || {
                let (count, names) = (u64::try_from(count?).ok()?, Sketch::from_bytes(names.as_deref()?)?);
                Some(People { count, names, rows: row_counts.and_then(Sketch::from_bytes) })
            };
            Group { rows: u64::try_from(rows).unwrap_or_default(), people: people().filter(|_| is_known) }
        };
        let row_counts = self.table_row_counts.as_deref();
        let table = self.table_rows.map(|rows| group(rows, &self.table_people, self.table_persons, row_counts));
        (group(self.rows, &self.people, self.persons, self.value_counts.as_deref()), table)
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
                .bind(&question.rules)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.filter(|(answer, _)| !answer.is_empty()).map(|(answer, at)| Kept { answer, at }))
    }

    /// When something was told about one of the same columns, of whatever data; the last time.
    pub async fn told_about(&self, question: &Question) -> Result<Option<String>, StoreError> {
        if question.least <= 1 {
            return Ok(None);
        }
        let mut connection = self.pool.acquire().await?;
        let told: Vec<(String, String, String)> =
            sqlx::query_as("SELECT database, columns, at FROM answer ORDER BY id DESC")
                .fetch_all(&mut *connection)
                .await?;
        for (database, columns, at) in told {
            if !question.other_people.contains(&database) && shares_a_column(question, &columns)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Decides whether a new answer (JSON), or that it is `refused`, is told about these people; and keeps it if so.
    pub async fn answer(
        &self,
        question: &Question,
        told_of: &ToldOf,
        answer: &str,
        refused: bool,
    ) -> Result<ToTell, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let Compared { to_tell, is_base } = compare(&mut transaction, question, told_of, refused).await?;
        let kept = match &to_tell {
            ToTell::New => Some((answer, refused, timestamp::now())),
            // From now on those who are known by name are compared with these.
            ToTell::Kept(kept) if is_base => Some((kept.answer.as_str(), false, kept.at.clone())),
            ToTell::Nothing { since } if is_base => Some(("", true, since.clone())),
            _ => None,
        };
        if let Some((answer, refused, at)) = kept {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let ToldOf { taking_part, table } = told_of;
            let (people, of_table) = (taking_part.people.as_ref(), table.people.as_ref());
            let (names, table_names) =
                (people.map(|people| people.names.to_bytes()), of_table.map(|people| people.names.to_bytes()));
            let columns = json(&question.columns)?;
            let (row_counts, value_counts) = (
                of_table.and_then(|people| people.rows.as_ref()).map(Sketch::to_bytes),
                people.and_then(|people| people.rows.as_ref()).map(Sketch::to_bytes),
            );
            let numbers = [
                taking_part.rows,
                table.rows,
                people.map_or(0, |people| people.count),
                of_table.map_or(0, |people| people.count),
            ];
            let mut people_hash = Sha256::new();
            for part in [
                Some(question.database.as_bytes()),
                Some(columns.as_bytes()),
                question.person.as_deref().map(str::as_bytes),
                names.as_deref(),
                table_names.as_deref(),
                row_counts.as_deref(),
                value_counts.as_deref(),
                Some(numbers.map(u64::to_le_bytes).as_flattened()),
            ] {
                // With its length, so that two parts are not taken for one.
                people_hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
                people_hash.update(part.unwrap_or_default());
            }
            // Where every question is answered anew, it is kept once for the same people.
            sqlx::query(
                "DELETE FROM answer WHERE question = ? AND limits = ? AND rows = ? AND people IS ? AND table_rows = ?
                 AND table_people IS ?",
            )
            .bind(&question.hash)
            .bind(&question.rules)
            .bind(number(taking_part.rows))
            .bind(&names)
            .bind(number(table.rows))
            .bind(&table_names)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO answer (question, database, columns, limits, person, rows, people, persons, table_rows,
                 table_people, table_persons, table_row_counts, value_counts, answer, refused, at, people_hash)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&question.hash)
            .bind(&question.database)
            .bind(columns)
            .bind(&question.rules)
            .bind(&question.person)
            .bind(number(taking_part.rows))
            .bind(names)
            .bind(people.map(|people| number(people.count)))
            .bind(number(table.rows))
            .bind(table_names)
            .bind(of_table.map(|people| number(people.count)))
            .bind(row_counts)
            .bind(value_counts)
            .bind(answer)
            .bind(refused)
            .bind(at)
            .bind(people_hash.finalize().to_vec())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(to_tell)
    }
}

/// Whether one of the columns is among those of an answer (JSON). One that is written nearly the same is taken for one that was
/// renamed, unless that still stands beside it.
fn shares_a_column(question: &Question, of_answer: &str) -> Result<bool, StoreError> {
    let of_answer: Vec<String> =
        serde_json::from_str(of_answer).map_err(|error| StoreError::Unreadable(error.to_string()))?;
    let is_same = |asked: &String, before: &String| {
        asked == before || plain_name(asked) == plain_name(before) && !question.all_columns.contains(before)
    };
    Ok(question.columns.iter().any(|asked| of_answer.iter().any(|before| is_same(asked, before))))
}

/// What follows from the earlier answers.
struct Compared {
    to_tell: ToTell,
    /// Whether this is the first time that people are known by name, or by this column.
    is_base: bool,
}

/// Compares with the earlier answers about one of the same columns, or about the same database: who has come to it must
/// not be told by asking about one column before and about another one after that.
async fn compare(
    connection: &mut SqliteConnection,
    question: &Question,
    told_of: &ToldOf,
    refused: bool,
) -> Result<Compared, StoreError> {
    let least = question.least;
    if least <= 1 {
        // Whoever permits this lets everybody be told apart.
        return Ok(Compared { to_tell: ToTell::New, is_base: false });
    }
    let is_named = told_of.table.people.is_some();
    let (mut kept, mut conflict) = (None, None);
    let (mut last_told_of, mut last_told_of_other) = (None, None);
    let (mut has_base, mut is_base) = (false, false);
    for id in to_compare(connection, question).await? {
        // One at a time: there may be many.
        let earlier: Row =
            sqlx::query_as("SELECT * FROM answer WHERE id = ?").bind(id).fetch_one(&mut *connection).await?;
        let (taking_part, table) = earlier.told_of();
        let is_mixed = is_named && taking_part.people.is_none();
        let is_asked_again = earlier.question == question.hash;
        has_base |= is_asked_again && !is_mixed;
        if is_mixed && has_base {
            // The answer of then was given again when people were known by name: since then these are compared, and of the
            // ones of before it is known how many they were.
            let is_few = |now: &Group, before: &Group| (1..least).contains(&now.rows.abs_diff(before.rows));
            let of_table = table.as_ref().filter(|_| earlier.database == question.database);
            if shares_a_column(question, &earlier.columns)? && is_few(&told_of.taking_part, &taking_part)
                || of_table.is_some_and(|table| is_few(&told_of.table, table))
            {
                conflict.get_or_insert_with(|| earlier.at.clone());
            }
            continue;
        }
        // Under other rules what was refused may be told now, and what was told may be refused.
        let is_same_rules = earlier.limits == question.rules;
        let is_same_question = is_asked_again && (is_same_rules || !earlier.refused && !refused);
        let is_same_database = earlier.database == question.database;
        let (mut tells_of_few, mut is_unchanged) = (false, true);
        // Another person column can hold other identifiers. If most of them are new, nobody knows who has come.
        let is_other_column = is_same_database && earlier.person != question.person;
        if is_other_column && is_named && !is_mixed {
            let before = table.as_ref().unwrap_or(&taking_part);
            tells_of_few |= !are_known_to_each_other(&told_of.table, before);
        }
        let of_before = table.as_ref().unwrap_or(&taking_part);
        let are_others = !is_same_database && !have_most_in_common(&told_of.table, of_before);
        if are_others && question.other_people.contains(&earlier.database) {
            continue;
        }
        let may_have_others = are_others && is_named && !is_mixed;
        let shares_a_column = shares_a_column(question, &earlier.columns)?;
        // Households have other identifiers than patients, and are fewer: what both come to is the same.
        tells_of_few |= may_have_others && shares_a_column;
        if let Some(table) = table.filter(|table| is_same_database || are_mostly_the_same(&told_of.table, table)) {
            let of_tables = table_difference(told_of, &taking_part, &table, least);
            tells_of_few |= of_tables == Difference::Few;
            is_unchanged = of_tables == Difference::None;
            // What was told of the same database comes first: another one can be a part of it.
            let last = if is_same_database { &mut last_told_of } else { &mut last_told_of_other };
            if last.is_none() && are_known_to_each_other(&told_of.table, &table) {
                *last = Some(table);
            }
        }
        if shares_a_column {
            let of_part = difference(&told_of.taking_part, &taking_part, least);
            is_unchanged &= of_part == Difference::None;
            tells_of_few |= match of_part {
                Difference::Enough => false,
                Difference::Few => true,
                // Of the same people another question may be asked. Whether another database has exactly the same people
                // is told to nobody: with one of them more it would not be answered.
                Difference::None => is_same_question || !is_same_database,
            };
        }
        if tells_of_few {
            is_base |= is_mixed;
            conflict.get_or_insert_with(|| earlier.at.clone());
        }
        // Under other rules it is told again if it had enough people for them. Whether it would be refused today is of no
        // account where somebody has come or gone: that can hang on one of them.
        let had_enough = !earlier.refused
            && taking_part.people.as_ref().map_or(taking_part.rows, |people| people.count) >= question.minimum;
        let is_told_again = is_same_rules || if is_unchanged { is_same_question } else { had_enough };
        if is_asked_again && is_told_again && kept.is_none() {
            kept = Some((earlier.answer, earlier.at));
        }
    }
    let to_tell = match (conflict, kept) {
        (None, _) => ToTell::New,
        // Whatever was told may be told again.
        (Some(_), Some((answer, at))) if !answer.is_empty() => ToTell::Kept(Kept { answer, at }),
        (Some(_), Some((_, since))) => ToTell::Nothing { since },
        (Some(since), None) => {
            match last_told_of.or(last_told_of_other).and_then(|before| newcomers(&told_of.table, &before)) {
                Some(newcomers) => ToTell::Without(newcomers),
                None => ToTell::Nothing { since },
            }
        }
    };
    Ok(Compared { to_tell, is_base: is_base && !has_base })
}

/// The ids of the answers to compare with, the newest first. Of answers to other questions about the same people one says
/// what all say.
async fn to_compare(connection: &mut SqliteConnection, question: &Question) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT id FROM answer WHERE question = ?1 OR people_hash IS NULL
         UNION SELECT max(id) FROM answer WHERE question <> ?1 AND people_hash IS NOT NULL GROUP BY people_hash
         ORDER BY 1 DESC",
    );
    Ok(ids.bind(&question.hash).fetch_all(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn names(people: impl IntoIterator<Item = u64>) -> Group {
        visits(people.into_iter().map(|person| (person, 1)))
    }

    /// People with how many rows each has.
    fn visits(people: impl IntoIterator<Item = (u64, u64)>) -> Group {
        let (mut all, mut count, mut names, mut row_counts) = (0, 0, Sketch::default(), Sketch::default());
        let key = |bytes: &[u8]| SketchKey::new([3; 16]).key(bytes);
        for (person, rows) in people {
            names.add(key(&person.to_le_bytes()));
            row_counts.add(key(&[person.to_le_bytes(), rows.to_le_bytes()].concat()));
            count += 1;
            all += rows;
        }
        Group { rows: all, people: Some(People { count, names, rows: Some(row_counts) }) }
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
            all_columns: Vec::new(),
            columns: vec![column.to_owned()],
            person: Some("patient".to_owned()),
            other_people: Vec::new(),
            least: 5,
            minimum: 10,
            rules: "safe".to_owned(),
        }
    }

    /// With other people than the others, as the configuration says.
    fn with_others(question: Question) -> Question {
        Question { other_people: ["a", "copy", "all"].map(str::to_owned).into(), ..question }
    }

    /// Where nothing says who rows are about.
    fn unnamed(question: Question) -> Question {
        Question { person: None, ..question }
    }

    fn age() -> Question {
        question("average", "a", "age")
    }

    async fn empty_store() -> (NodeStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (NodeStore::open(&folder.path().join("node.sqlite")).await.unwrap(), folder)
    }

    async fn tell(store: &NodeStore, question: &Question, told_of: ToldOf, answer: &str) -> String {
        match store.answer(question, &told_of, answer, answer == "suppressed").await.unwrap() {
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
    async fn many_questions_about_the_same_people_are_compared_as_one() {
        let (store, _folder) = empty_store().await;
        let asked = |number: usize| Question { hash: format!("question {number}"), ..age() };
        for number in 0..40 {
            // Of other people than the first ones, and than those of another column.
            let told_of = if number < 20 { people(0..100) } else { people(0..200) };
            assert_eq!(tell(&store, &asked(number), told_of, "1").await, "1");
        }
        assert_eq!(tell(&store, &question("average", "a", "height"), people(0..200), "2").await, "2");
        let mut connection = store.pool.acquire().await.unwrap();
        assert_eq!(to_compare(&mut connection, &asked(40)).await.unwrap(), [41, 40, 20]);
        assert_eq!(to_compare(&mut connection, &asked(3)).await.unwrap(), [41, 40, 20, 4]);
        drop(connection);
        assert_eq!(tell(&store, &asked(40), people(0..199), "3").await, "nothing");
        assert_eq!(tell(&store, &asked(3), people(0..101), "3").await, "kept 1");
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
        // Nor one with other identifiers, unless the configuration says that other people are in it.
        assert_eq!(tell(&store, &other, people(100..120), "4").await, "nothing");
        assert_eq!(tell(&store, &with_others(other), people(100..120), "4").await, "4");
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
            // There people can be the same under other identifiers, unless most of them are known.
            let are_known = !matches!(what, "many more" | "three times as many others");
            let elsewhere = if told == "2" && are_known { "2" } else { "nothing" };
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
        // A database of others has nothing to do with it.
        assert_eq!(tell(&store, &question("average", "b", "income"), people(300..420), "9").await, "9");
    }

    #[tokio::test]
    async fn without_people_the_number_of_rows_tells() {
        let (store, _folder) = empty_store().await;
        let (age, height) = (unnamed(age()), unnamed(question("average", "a", "height")));
        assert_eq!(tell(&store, &age, rows(100), "1").await, "1");
        assert_eq!(tell(&store, &age, rows(100), "2").await, "kept 1");
        assert_eq!(tell(&store, &age, rows(104), "3").await, "kept 1");
        assert_eq!(tell(&store, &height, rows(101), "4").await, "nothing");
        assert_eq!(tell(&store, &height, rows(100), "4").await, "4");
        assert_eq!(tell(&store, &age, rows(105), "5").await, "5");
    }

    #[tokio::test]
    async fn whoever_names_people_later_is_compared_with_those_named_first() {
        let (store, _folder) = empty_store().await;
        let height = question("average", "a", "height");
        assert_eq!(tell(&store, &unnamed(age()), rows(100), "1").await, "1");
        // As many rows: nobody may have come. More: nobody knows who.
        assert_eq!(tell(&store, &age(), people(0..100), "2").await, "kept 1");
        // From then on those who have come are known.
        assert_eq!(tell(&store, &age(), people(0..104), "4").await, "kept 1");
        assert_eq!(tell(&store, &age(), people(0..105), "5").await, "5");
        let (store, _other_folder) = empty_store().await;
        assert_eq!(tell(&store, &unnamed(age()), rows(100), "1").await, "1");
        assert_eq!(tell(&store, &height, people(0..110), "3").await, "nothing");
        assert_eq!(tell(&store, &height, people(0..114), "3").await, "nothing");
        assert_eq!(tell(&store, &height, people(0..115), "6").await, "6");
        // By another column people can have other identifiers, of whom nothing is known.
        let by_visit = Question { person: Some("visit".to_owned()), ..height.clone() };
        assert_eq!(tell(&store, &by_visit, people(300..500), "7").await, "kept 6");
        // Where they have the same ones they are known, whatever the column is called.
        let renamed = Question { person: Some("patient_id".to_owned()), ..height };
        assert_eq!(tell(&store, &renamed, people(1..116), "7").await, "kept 6");
        assert_eq!(tell(&store, &renamed, people(0..120), "8").await, "8");
        let elsewhere = Question { person: Some("patient_id".to_owned()), ..question("average", "b", "weight") };
        assert_eq!(tell(&store, &elsewhere, people(0..121), "9").await, "without 1");
        assert_eq!(tell(&store, &elsewhere, people(1_000..1_300), "9").await, "9");
    }

    #[tokio::test]
    async fn more_rows_of_somebody_are_seen() {
        let (store, _folder) = empty_store().await;
        let height = question("average", "a", "height");
        let more =
            |people: Range<u64>| all(visits((0..100).map(|person| (person, 1 + u64::from(people.contains(&person))))));
        assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
        assert_eq!(tell(&store, &age(), more(0..1), "2").await, "kept 1");
        assert_eq!(tell(&store, &height, more(0..1), "2").await, "nothing");
        assert_eq!(tell(&store, &height, more(0..4), "2").await, "nothing");
        assert_eq!(tell(&store, &height, more(0..5), "3").await, "3");
        // Of many who came again one has another value.
        let weight = question("average", "a", "weight");
        for (again, values, told) in
            [(15, 1, "nothing"), (15, 15, "5"), (90, 3, "nothing"), (90, 90, "5"), (200, 2, "nothing")]
        {
            let (store, _folder) = empty_store().await;
            let of = |count: u64| visits((0..300).map(|person| (person, 1 + u64::from(person < count))));
            assert_eq!(tell(&store, &age(), all(of(0)), "4").await, "4");
            let now = ToldOf { taking_part: of(values), table: of(again) };
            assert_eq!(tell(&store, &weight, now, "5").await, told, "{again} {values}");
        }
        // With one who is new.
        let with_newcomer = all(visits((0..101).map(|person| (person, 1 + u64::from(person == 7 || person < 5)))));
        assert_eq!(tell(&store, &question("average", "a", "weight"), with_newcomer, "4").await, "without 1");
    }

    #[tokio::test]
    async fn of_enough_who_come_or_go_few_may_have_a_value() {
        let height = question("average", "a", "height");
        let of = |taking_part: Group, table: Range<u64>| ToldOf { taking_part, table: names(table) };
        for (what, before, now, told) in [
            ("five have come, one with a value", of(names(0..99), 0..100), of(names(0..101), 0..105), "without 5"),
            ("five have come, all with one", of(names(0..99), 0..100), of(names(0..105), 0..105), "2"),
            ("five have come, none with one", of(names(0..99), 0..100), of(names(0..98), 0..105), "2"),
            ("five are gone, one had a value", of(names(4..100), 0..100), of(names(5..100), 5..100), "nothing"),
            ("five are gone, all had one", of(names(0..98), 0..100), of(names(5..100), 5..100), "2"),
            // So many have no value that it is not known who of them is gone.
            ("many without", of(names(0..400), 0..1_000), of(names(500..995), 0..995), "nothing"),
            ("many are gone", of(names(0..995), 0..1_000), of(names(200..900), 0..900), "2"),
            ("many have come", of(names(200..900), 0..900), of(names(0..995), 0..1_000), "2"),
            ("200 have come, one with a value", of(names(0..99), 0..100), of(names(0..100), 0..300), "nothing"),
            ("200 have come, all with one", of(names(0..99), 0..100), of(names(0..300), 0..300), "2"),
        ] {
            let (store, _folder) = empty_store().await;
            assert_eq!(tell(&store, &age(), before, "1").await, "1");
            assert_eq!(tell(&store, &height, now, "2").await, told, "{what}");
        }
    }

    #[tokio::test]
    async fn a_copy_of_a_database_under_another_label_is_the_same_one() {
        let (store, _folder) = empty_store().await;
        assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
        let copy = question("average", "copy", "height");
        assert_eq!(tell(&store, &copy, people(0..101), "2").await, "without 1");
        assert_eq!(tell(&store, &copy, people(1..100), "2").await, "nothing");
        assert_eq!(tell(&store, &copy, people(0..100), "2").await, "2");
        let others = question("average", "others", "height");
        assert_eq!(tell(&store, &others, people(200..320), "3").await, "nothing");
        assert_eq!(tell(&store, &with_others(others), people(200..320), "3").await, "3");
        // However many have come to the copy.
        let part = ToldOf { taking_part: names(0..101), table: names(0..190) };
        assert_eq!(tell(&store, &question("average", "later copy", "weight"), part, "4").await, "without 90");
        let (store, _other_folder) = empty_store().await;
        assert_eq!(tell(&store, &age(), people(0..300), "1").await, "1");
        let part = ToldOf { taking_part: names(0..301), table: names(0..500) };
        assert_eq!(tell(&store, &question("average", "later copy", "weight"), part, "4").await, "nothing");
    }

    #[tokio::test]
    async fn two_databases_whose_people_differ_by_few_are_not_both_answered() {
        let (store, _folder) = empty_store().await;
        let tell_of = async |database: &str, told_of: ToldOf| {
            tell(&store, &question("average", database, "age"), told_of, "x").await
        };
        assert_eq!(tell_of("all", people(0..100)).await, "x");
        assert_eq!(tell_of("all but one", people(1..100)).await, "nothing");
        assert_eq!(tell_of("others", people(200..306)).await, "nothing");
        let others = with_others(question("average", "others", "age"));
        assert_eq!(tell(&store, &others, people(200..306), "x").await, "x");
        // What it says of other people does not count where they are the same.
        let part = with_others(question("average", "part", "age"));
        assert_eq!(tell(&store, &part, people(1..100), "x").await, "nothing");
        assert_eq!(tell_of("the same under new names, and one more", people(400..501)).await, "nothing");
        // That it is exactly the same people is not told, either.
        assert_eq!(tell_of("the same people", people(0..100)).await, "nothing");
        for name in ["\u{c4}LTER", " a\u{308}lter", "\u{e4}lter\t"] {
            let (store, _folder) = empty_store().await;
            let older = question("average", "a", "\u{e4}lter");
            assert_eq!(tell(&store, &older, people(0..100), "x").await, "x");
            for (database, told) in [("a", "x"), ("b", "nothing")] {
                let renamed = question("average", database, name);
                assert_eq!(tell(&store, &renamed, people(0..101), "x").await, "without 1", "{name}");
                assert_eq!(tell(&store, &renamed, people(0..100), "x").await, told, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn columns_that_stand_beside_each_other_are_two_however_alike_their_names_are() {
        let part = || ToldOf { taking_part: names(0..97), table: names(0..100) };
        for (both, told) in [(true, "2"), (false, "nothing")] {
            let (store, _folder) = empty_store().await;
            let first = question("average", "a", "q1_1");
            assert_eq!(tell(&store, &first, people(0..100), "1").await, "1");
            let all_columns = if both { vec!["q1_1".to_owned(), "q11".to_owned()] } else { vec!["q11".to_owned()] };
            let second = Question { all_columns, ..question("average", "a", "q11") };
            assert_eq!(tell(&store, &second, part(), "2").await, told, "{both}");
        }
    }

    #[tokio::test]
    async fn of_data_that_cannot_be_read_nothing_is_told_where_something_was_told_of_the_column() {
        let (store, _folder) = empty_store().await;
        assert_eq!(tell(&store, &age(), people(0..100), "1").await, "1");
        let elsewhere = question("average", "b", "age");
        assert!(store.told_about(&elsewhere).await.unwrap().is_some());
        // Unless other people are in it, or everybody may be told apart.
        let of_others = Question { other_people: vec!["a".to_owned()], ..elsewhere.clone() };
        assert_eq!(store.told_about(&of_others).await.unwrap(), None);
        assert_eq!(store.told_about(&Question { least: 0, ..elsewhere }).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_answer_under_other_limits_is_not_given_again() {
        let (store, _folder) = empty_store().await;
        let weaker = Question { rules: "weaker".to_owned(), ..age() };
        assert_eq!(tell(&store, &weaker, people(0..100), "1").await, "1");
        // Where nothing is refused either, the rules make no new question.
        assert_eq!(tell(&store, &age(), people(0..100), "2").await, "kept 1");
        assert_eq!(tell(&store, &age(), people(0..101), "2").await, "kept 1");
        assert_eq!(tell(&store, &age(), people(0..100), "suppressed").await, "suppressed");
        assert_eq!(tell(&store, &age(), people(0..100), "2").await, "kept suppressed");
        assert_eq!(tell(&store, &weaker, people(0..100), "3").await, "kept 1");
        // A newcomer does not decide whether it is.
        let older = Question { rules: "older".to_owned(), ..age() };
        for answer in ["5", "suppressed"] {
            assert_eq!(tell(&store, &older, people(0..101), answer).await, "kept 1");
        }
        let stronger = Question { rules: "stronger".to_owned(), minimum: 101, ..age() };
        assert_eq!(tell(&store, &stronger, people(0..101), "5").await, "without 1");
        // What was refused may be told by weaker rules.
        let height = question("average", "a", "height");
        assert_eq!(tell(&store, &height, people(0..100), "suppressed").await, "suppressed");
        let weaker = Question { rules: "weaker".to_owned(), ..height };
        assert_eq!(tell(&store, &weaker, people(0..100), "4").await, "4");
        let none = Question { least: 0, ..age() };
        for _ in 0..2 {
            assert_eq!(tell(&store, &none, people(1..101), "3").await, "3");
        }
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM answer").fetch_one(&store.pool).await.unwrap();
        assert_eq!(kept, 5);
    }
}

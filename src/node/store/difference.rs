//! By how many people the data of two answers differ, as far as their sketches tell.

use crate::algorithms::{Change, Group, People, ToldOf};

/// By how many people two answers differ.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// By nobody, as far as that is known.
    None,
    /// By so few that the difference would tell of them.
    Few,
    Enough,
}

impl Difference {
    fn of_count(count: u64, least: u64) -> Difference {
        match count {
            0 => Difference::None,
            few if few < least => Difference::Few,
            _ => Difference::Enough,
        }
    }

    /// Where so many have come and so many are gone. Some of them can be the same under other names: so their numbers
    /// have to differ, too.
    fn of_change(came: u64, gone: u64, least: u64) -> Difference {
        let is_few = |count| Difference::of_count(count, least) == Difference::Few;
        if is_few(came) || is_few(gone) {
            return Difference::Few;
        }
        match Difference::of_count(came.abs_diff(gone), least) {
            Difference::None if came > 0 => Difference::Few,
            difference => difference,
        }
    }
}

/// Compares two groups. They differ by enough if one has at least `least` people more than the other, and nobody comes
/// or goes alone. The first holds even where people get other names, and so would come and go: as many do both. The
/// second holds for up to about 150 who come and go.
pub(super) fn difference(now: &Group, before: &Group, least: u64) -> Difference {
    match (&now.people, &before.people) {
        (Some(people), Some(people_before)) => match people.names.change_since(&people_before.names) {
            Change::Known { came, gone } => {
                let of_people = Difference::of_change(came.len() as u64, gone.len() as u64, least);
                // Records that are split or joined give people other names, and add no rows.
                match Difference::of_count(now.rows.abs_diff(before.rows), least) {
                    Difference::None | Difference::Few if of_people == Difference::Enough => Difference::Few,
                    _ => of_people,
                }
            }
            // They can be the same under other identifiers: so their rows have to differ by enough, too.
            Change::Many => {
                let of_people = Difference::of_count(people.count.abs_diff(people_before.count), least);
                let of_rows = Difference::of_count(now.rows.abs_diff(before.rows), least);
                match (of_people, of_rows) {
                    (Difference::Enough, Difference::Enough) => Difference::Enough,
                    _ => Difference::Few,
                }
            }
        },
        // Where it is not known who they are their number has to tell.
        (None, None) => Difference::of_count(now.rows.abs_diff(before.rows), least),
        // Where it is known of one only, it is not known who has come since.
        _ if now.rows == before.rows => Difference::None,
        _ => Difference::Few,
    }
}

/// Compares two tables, of which some people took part in a question. Neither may they differ by few people, nor by people
/// of whom few took part; and there may be no few who have more rows now, or fewer.
pub(super) fn table_difference(now: &ToldOf, taking_part_before: &Group, before: &Group, least: u64) -> Difference {
    let of_tables = difference(&now.table, before, least);
    let (Some(people), Some(people_before)) = (&now.table.people, &before.people) else { return of_tables };
    let (Some(part), Some(part_before)) = (&now.taking_part.people, &taking_part_before.people) else {
        return Difference::Few;
    };
    let Change::Known { came, gone } = people.names.change_since(&people_before.names) else {
        // Nobody knows who they are: at least their number tells.
        let of_people = Difference::of_count(part.count.abs_diff(part_before.count), least);
        let of_rows = Difference::of_count(now.taking_part.rows.abs_diff(taking_part_before.rows), least);
        let is_few = of_people == Difference::Few || of_rows == Difference::Few;
        return if is_few { Difference::Few } else { of_tables };
    };
    let among = |some: &[u64], others: &[u64]| some.iter().filter(|key| others.contains(key)).count() as u64;
    let is_few = |count| Difference::of_count(count, least) == Difference::Few;
    // Who has come has so many rows for the first time, and who is gone had them for the last time.
    let rows = other_counts(people, people_before, came.len() as u64, gone.len() as u64);
    if rows.is_some_and(is_few) {
        return Difference::Few;
    }
    let of_part = part.names.change_since(&part_before.names);
    if rows != Some(0) {
        // Of enough people who have other rows, few may have other values.
        let (new, old) = match &of_part {
            Change::Known { came: came_in, gone: gone_out } => (among(&came, came_in), among(&gone, gone_out)),
            Change::Many => (0, 0),
        };
        if other_counts(part, part_before, new, old).is_some_and(is_few) {
            return Difference::Few;
        }
    }
    if of_tables != Difference::Enough {
        return of_tables;
    }
    // Of so many who changed at least those took part who cannot all be among the people without a value.
    let enough_of = |changed: &[u64], table: &People, part: &People| {
        let without_value = table.count.saturating_sub(part.count);
        changed.len() as u64 >= without_value.saturating_add(least)
    };
    let is_enough = match of_part {
        Change::Known { came: came_in, gone: gone_out } => {
            let (came, gone) = (among(&came, &came_in), among(&gone, &gone_out));
            Difference::of_change(came, gone, least) != Difference::Few
        }
        Change::Many if gone.is_empty() => enough_of(&came, people, part),
        Change::Many if came.is_empty() => enough_of(&gone, people_before, part_before),
        Change::Many => false,
    };
    if is_enough { Difference::Enough } else { Difference::Few }
}

/// How many people have another number of rows than before, beside so many who are new and so many who are gone; `None` if
/// they are many, or that was not noted.
fn other_counts(now: &People, before: &People, new: u64, old: u64) -> Option<u64> {
    match now.rows.as_ref()?.change_since(before.rows.as_ref()?) {
        Change::Known { came, gone } => {
            Some((came.len() as u64).saturating_sub(new).max((gone.len() as u64).saturating_sub(old)))
        }
        Change::Many => None,
    }
}

/// Whether it is known that at least half of the people of one table are in another one.
pub(super) fn have_most_in_common(now: &Group, before: &Group) -> bool {
    let (Some(people), Some(before)) = (&now.people, &before.people) else { return false };
    match people.names.change_since(&before.names) {
        Change::Known { came, .. } => {
            people.count.saturating_sub(came.len() as u64) >= people.count.min(before.count).div_ceil(2)
        }
        Change::Many => false,
    }
}

/// Whether at least half of the people of one table are in another one, or may be: a copy or a part of a database, or the same
/// one under another label.
pub(super) fn are_mostly_the_same(now: &Group, before: &Group) -> bool {
    let (Some(people), Some(before_people)) = (&now.people, &before.people) else { return false };
    // Unless there are too many more, also of their rows: households and patients are other numbers of the same people.
    let is_near = |one: u64, other: u64| one.max(other) / 2 <= one.min(other);
    let may_be = is_near(people.count, before_people.count) || is_near(now.rows, before.rows);
    // The others may have other identifiers there: that some are the same can be chance.
    may_be || have_most_in_common(now, before)
}

/// Whether it is known who has come and gone between two groups.
pub(super) fn are_known_to_each_other(now: &Group, before: &Group) -> bool {
    match (&now.people, &before.people) {
        (Some(now), Some(before)) => now.names.change_since(&before.names) != Change::Many,
        _ => false,
    }
}

/// The keys of those who have come, if nobody is gone.
pub(super) fn newcomers(now: &Group, before: &Group) -> Option<Vec<u64>> {
    match now.people.as_ref()?.names.change_since(&before.people.as_ref()?.names) {
        Change::Known { came, gone } if gone.is_empty() && !came.is_empty() => Some(came),
        _ => None,
    }
}

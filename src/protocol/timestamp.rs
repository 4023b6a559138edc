//! Times on the wire: ISO 8601 in UTC, without a zone when the server read them back from its database.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Reads a time as servers of the 4.x line write it; without a zone it is UTC. `None` if it is no time.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// Writes a time as vantage6 4.x reads it: microseconds are required, the zone is left out (UTC).
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// The present moment in the form of [`format`].
pub fn now() -> String {
    format(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(parse("2026-11-22T17:00:02.000001"), parse("2026-11-22T18:00:02.000001+01:00"));
        assert_eq!(parse("2026-11-22T17:00:02"), parse("2026-11-22T17:00:02+00:00"));
        assert_eq!(parse("soon"), None);
    }

    #[test]
    fn microseconds_are_always_written() {
        let time = parse("2026-11-22T17:00:02").unwrap();
        assert_eq!(format(time), "2026-11-22T17:00:02.000000");
        assert_eq!(parse(&format(time)), Some(time));
    }
}

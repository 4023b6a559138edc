//! Whether a password is one of those that are tried first: a common one, or words of our field, or several, with digits
//! and signs around them.

use zxcvbn::{Score, zxcvbn};

/// Words that passwords are made of, in lower case, as they are typed and with the usual letters for digits.
const WORDS: &[&str] = &[
    "password",
    "passwort",
    "passw",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "asdf",
    "zxcvbn",
    "yxcvbn",
    "welcome",
    "willkommen",
    "welkom",
    "bienvenue",
    "letmein",
    "admin",
    "administrator",
    "root",
    "user",
    "guest",
    "login",
    "access",
    "master",
    "secret",
    "geheim",
    "changeme",
    "change",
    "default",
    "test",
    "testing",
    "demo",
    "hello",
    "hallo",
    "iloveyou",
    "love",
    "dragon",
    "monkey",
    "football",
    "fussball",
    "voetbal",
    "baseball",
    "basketball",
    "hockey",
    "soccer",
    "sunshine",
    "princess",
    "superman",
    "batman",
    "starwars",
    "pokemon",
    "michael",
    "jordan",
    "daniel",
    "charlie",
    "thomas",
    "jessica",
    "ashley",
    "nicole",
    "andrea",
    "computer",
    "internet",
    "samsung",
    "google",
    "whatever",
    "freedom",
    "shadow",
    "killer",
    "trustno",
    "spring",
    "summer",
    "autumn",
    "winter",
    "fall",
    "lente",
    "zomer",
    "herfst",
    "sommer",
    "herbst",
    "monday",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "hospital",
    "klinik",
    "clinic",
    "patient",
    "doctor",
    "health",
    "research",
    "researcher",
    "science",
    "data",
    "vantage",
    "federated",
    "abc",
    "abcd",
    "abcdef",
    "abcdefgh",
    "the",
    "my",
    "is",
    "one",
    "two",
    "three",
    "new",
    "old",
    "company",
    "server",
    "system",
    "database",
    "example",
    "temp",
    "temporary",
    "initial",
    "first",
    "last",
    "good",
    "god",
];

/// Characters of a password that are checked. These suffice to tell a weak one, and the time grows fast with the length.
const LOOKED_AT: usize = 16;

/// Whether somebody would try it among the first million: a common password, a name, a row of keys, a date, a repetition
/// (Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX Security 2016), or made of our own [`WORDS`].
pub fn is_common(password: &str) -> bool {
    let start: String = password.chars().take(LOOKED_AT).collect();
    zxcvbn(&start, &[]).score() < Score::Two || is_made_of_words(&password.to_lowercase())
}

/// Whether it is one of these names of its owner, such as the username, with digits and signs around it.
pub fn is_made_of_names(password: &str, names: &[&str]) -> bool {
    let mut text = password.to_lowercase();
    let names = names.iter().map(|name| name.to_lowercase()).filter(|name| name.chars().count() >= LEAST_NAME);
    let mut found = false;
    for name in names {
        found |= text.contains(&name);
        text = text.replace(&name, "");
    }
    found && !text.chars().any(char::is_alphabetic)
}

/// Shorter names stand in other words.
const LEAST_NAME: usize = 3;

/// Whether nothing is left but digits and signs when common words are taken out.
fn is_made_of_words(text: &str) -> bool {
    let is_rest = |text: &str| !text.chars().any(char::is_alphabetic);
    let plain = |text: &str| {
        let mut text = text.to_owned();
        let mut found = false;
        // The longest first, so that no part of one is left.
        let mut words: Vec<&&str> = WORDS.iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        for word in words {
            if text.contains(*word) {
                found = true;
                text = text.replace(*word, "");
            }
        }
        found && is_rest(&text)
    };
    let letters: String = text
        .chars()
        .map(|character| match character {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect();
    // `p@ssw0rd123`: the signs within are letters, those behind are not.
    let end = text.trim_end_matches(|character: char| !character.is_alphabetic()).len();
    let within: String = letters.chars().take(text[..end].chars().count()).collect();
    plain(text) || plain(&letters) || plain(&within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_owner_with_digits_and_signs_are_no_password() {
        let names = ["margriet.devries", "margriet.devries@umc.example"];
        for made in ["Margriet.deVries", "margriet.devries-2026!", "margriet.devriesmargriet.devries"] {
            assert!(is_made_of_names(made, &names), "{made}");
        }
        for other in ["margriet.devries reads slowly", "vFq8-thaw-Lumen"] {
            assert!(!is_made_of_names(other, &names), "{other}");
        }
        assert!(!is_made_of_names("1234-5678", &["", "12"]));
    }

    #[test]
    fn what_is_tried_first_is_common_and_what_is_not_is_not() {
        for common in [
            "password1234",
            "P@ssw0rd1234",
            "Qwerty123456!",
            "123456789012",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "Welcome2026!!",
            "adminadmin123",
            "Summer2026!Summer",
            "121212121212",
            "Letmein-12345",
            "viewerviewer",
            "Hospital-2026!",
            "Passwort1234!",
            "qwertyuiopas",
            "1q2w3e4r5t6y",
            "manchesterunited",
            "michaeljackson",
            "trustno1trustno1",
            "passwordpassword1",
            "researcher1234",
            &"a1".repeat(64),
        ] {
            assert!(is_common(common), "{common}");
        }
        for fine in [
            "correct horse battery staple",
            "Atoll-demo-1",
            "Root-pass-1",
            "vFq8-thaw-Lumen",
            "meine Oma fährt Motorrad",
            "tr0ub4dour&3x",
            "blue kettle 17 rivers",
            // These keep to the rules of vantage6.
            "Another-1234",
            "Abcdefg-1",
            "Chosen-1234",
        ] {
            assert!(!is_common(fine), "{fine}");
        }
    }
}

//! What is sent in the place of what is expected.

use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};

/// Makes values that nobody has looked at before, the same ones for the same seed.
pub struct Variation {
    random: StdRng,
    pub seed: u64,
}

impl Variation {
    /// By the seed of the environment; the tests always run the same.
    pub fn new() -> Variation {
        let seed = std::env::var("ATOLL_ATTACK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        Variation { random: StdRng::seed_from_u64(seed), seed }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        all.choose(&mut self.random).expect("there is one")
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        all.shuffle(&mut self.random);
    }

    /// A text that programs have fallen over.
    pub fn text(&mut self) -> String {
        let length = self.below(12);
        match self.below(14) {
            0 => String::new(),
            1 => "../".repeat(length + 1) + "etc/passwd",
            2 => "/etc/passwd".to_owned(),
            3 => "'; DROP TABLE run; --".to_owned(),
            4 => "<script>document.title='pwned'</script>".to_owned(),
            5 => "${7*7}{{7*7}}%n%s".to_owned(),
            6 => "\u{202e}\u{0}\r\n\u{feff}x".to_owned(),
            7 => "a".repeat(1 << (length + 5)),
            8 => "$(touch /tmp/pwned) `id` | cat".to_owned(),
            9 => "__import__('os').system('id')".to_owned(),
            10 => "＜ａｇｅ＞ Ａ\u{308}\u{1f600}".to_owned(),
            11 => "-1".to_owned(),
            12 => "=HYPERLINK(\"http://evil.example\")".to_owned(),
            _ => (0..=length).map(|_| char::from(self.random.random_range(b' '..=b'~'))).collect(),
        }
    }

    /// JSON of any kind.
    pub fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(i64::MAX),
            4 => json!(1e308),
            5 => json!([]),
            6 => json!({}),
            7 => json!([1, "2", null, {"id": []}]),
            8 => json!({"id": self.text(), "link": self.text()}),
            9 => (0..60).fold(json!(1), |inner, _| json!([inner])),
            10 => json!(vec![self.text(); 50]),
            _ => json!(self.text()),
        }
    }
}

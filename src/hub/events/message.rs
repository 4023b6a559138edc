//! An event as it came: it is read when it is its turn.

use std::{convert::Infallible, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, SeqAccess, Visitor},
};
use socketioxide::{adapter::Adapter, handler::FromMessageParts, socket::Socket};
use socketioxide_core::Value;

use crate::protocol::brief;

/// What an event takes in memory beside its text, in bytes.
const EACH: usize = 256;

/// The text of an event: `["name", argument, …]`.
pub struct Message(Value);

impl<A: Adapter> FromMessageParts<A> for Message {
    type Error = Infallible;

    fn from_message_parts(_: &Arc<Socket<A>>, value: &mut Value, _: &Option<i64>) -> Result<Self, Infallible> {
        Ok(Message(value.clone()))
    }
}

impl Message {
    fn text(&self) -> &str {
        match &self.0 {
            Value::Str(text, _) => text.as_str(),
            Value::Bytes(_) => "",
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        EACH + self.text().len()
    }

    /// The first argument.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        brief::from_slice(self.text().as_bytes()).map(|Argument(argument)| argument)
    }
}

/// The first argument of an event, behind its name.
struct Argument<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Argument<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of an event with an argument")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
                items.next_element::<IgnoredAny>()?;
                let argument = items.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(argument)
            }
        }
        deserializer.deserialize_seq(First(PhantomData)).map(Argument)
    }
}

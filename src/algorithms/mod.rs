//! The analyses built in: functions over streams of Arrow record batches, one file each with its own description.

mod arguments;
mod average;
mod column;
mod description;
mod dominance;
mod error;
mod exact;
mod guard;
mod most_frequent;
mod persons;
mod reference;
mod sketch;
mod spelling;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use arguments::by_name;
pub use column::{Number, for_each_value, is_missing};
pub use description::describe_all;
pub use error::{AlgorithmError, OF_A_LINE};
pub use guard::{Computed, Disclosure, Group, People, Refusal, ToldOf};
pub use sketch::{Change, Sketch, SketchKey};
pub use spelling::for_each_identifier;

/// The image under which the built-in averaging algorithm is called: that of the vantage6 demo.
pub const AVERAGE_IMAGE: &str = "harbor2.vantage6.ai/demo/average";

/// The argument of central functions that names the organizations whose data are used.
pub const ORGANIZATIONS_ARGUMENT: &str = "organizations_to_include";

/// A table of a database, read in batches so that memory stays flat.
pub struct Table {
    pub schema: SchemaRef,
    /// How numbers are written where the source has no types of its own (CSV): its text is read as numbers where numbers are
    /// needed. `None`: text is text.
    pub untyped: Option<DecimalMark>,
    /// Columns whose values identify people: no function uses them unless policies allow it.
    pub identifiers: Vec<String>,
    /// Whether each batch has one more column at its end, which says who its rows are about.
    pub has_person: bool,
    /// Reads the batches; only the columns that are asked for.
    pub read: ReadColumns,
}

/// What stands before the decimals of numbers that are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum DecimalMark {
    #[default]
    #[serde(rename = ".")]
    Point,
    #[serde(rename = ",")]
    Comma,
}

/// Opens a table for reading the columns at these positions.
pub type ReadColumns = Box<dyn FnOnce(&[usize]) -> Result<Batches, AlgorithmError> + Send>;

/// The batches of a table, or why it cannot be read.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, AlgorithmError>> + Send>;

/// Arguments by name.
pub type Arguments = Map<String, Value>;

/// Arguments and one table to a result that tells no more than it may. The last argument is called for each batch.
pub type Compute = fn(&Arguments, Table, &Disclosure, GoesOn<'_>) -> Result<Computed, AlgorithmError>;

/// Whether a function goes on that holds so many bytes beside the present batch; an error that ends it.
pub type GoesOn<'a> = &'a dyn Fn(usize) -> Result<(), AlgorithmError>;

/// A function that runs beside the data.
#[derive(Clone, Copy)]
pub struct PartialFunction {
    pub name: &'static str,
    /// The names of its arguments, in their order.
    pub arguments: &'static [&'static str],
    /// The columns that a call names.
    pub columns: fn(&Arguments) -> Result<Vec<String>, AlgorithmError>,
    /// The arguments that matter: calls that agree in them ask the same question.
    pub question: fn(&Arguments) -> Result<Arguments, AlgorithmError>,
    pub compute: Compute,
    /// What is told in the place of the result, for this reason.
    pub suppressed: fn(&str) -> Value,
    /// What leaves the organization, for those who review a call.
    pub discloses: &'static str,
}

/// A function that aggregates: it is asked what to run at which organizations, then given their results.
#[derive(Clone, Copy)]
pub struct CentralFunction {
    /// The names of its arguments, in their order.
    pub arguments: &'static [&'static str],
    /// The partial function of the subtask.
    pub partial: &'static str,
    /// The arguments of the subtask.
    pub partial_arguments: fn(&Arguments) -> Result<Arguments, AlgorithmError>,
    /// Puts the partial results together; told how many organizations did not allow theirs.
    pub aggregate: fn(&[Value], usize) -> Result<Value, AlgorithmError>,
    /// Whether the result still means something without the organizations that do not take part.
    pub goes_on_without_some: bool,
    /// What leaves the organization that aggregates, for those who review a call.
    pub discloses: &'static str,
}

/// A built-in function.
#[derive(Clone, Copy)]
pub enum BuiltIn {
    Partial(PartialFunction),
    Central(CentralFunction),
}

/// Images and names with their functions. The seed document's names stand beside the present ones.
const FUNCTIONS: [(&str, &str, BuiltIn); 4] = [
    (AVERAGE_IMAGE, "partial_average", BuiltIn::Partial(average::PARTIAL)),
    (AVERAGE_IMAGE, "average_partial", BuiltIn::Partial(average::PARTIAL)),
    (AVERAGE_IMAGE, "central_average", BuiltIn::Central(average::CENTRAL)),
    (AVERAGE_IMAGE, "master", BuiltIn::Central(average::CENTRAL)),
];

/// Whether this image is built in. With a tag it is another image, which is not run here. A digest is not looked at:
/// servers add that of the store's image, which these functions stand for.
pub fn is_built_in(image: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == without_digest(image))
}

/// The name and the version of a built-in analysis: another version computes or tells something else, so approvals of
/// the one are none of the other.
pub fn version(image: &str) -> Option<String> {
    is_built_in(image).then(|| format!("average, version {}", average::VERSION))
}

/// The other names of an image: those under which the same code is known.
pub fn other_images(image: &str) -> Vec<&'static str> {
    let same = FUNCTIONS.iter().map(|(known, ..)| *known).find(|known| *known == without_digest(image));
    same.into_iter().filter(|known| *known != image).collect()
}

/// The other names of a function in this image: the same code.
pub fn other_names(image: &str, name: &str) -> Vec<&'static str> {
    let same: &[&[&'static str]] = &[&["partial_average", "average_partial"], &["central_average", "master"]];
    let of = same.iter().find(|names| is_built_in(image) && names.contains(&name));
    of.into_iter().flat_map(|names| names.iter().copied()).filter(|other| *other != name).collect()
}

/// The name of an image without its digest.
pub fn without_digest(image: &str) -> &str {
    image.split_once("@sha256:").map_or(image, |(name, _)| name)
}

/// What a function does, in the words of its description.
pub fn description(image: &str, name: &str) -> Option<String> {
    // The seed document's names are not described by themselves.
    let names: Vec<&str> = std::iter::once(name).chain(other_names(image, name)).collect();
    let algorithms = describe_all();
    let algorithm = algorithms.into_iter().find(|algorithm| algorithm.image == without_digest(image))?;
    algorithm.functions.into_iter().find(|function| names.contains(&function.name.as_str()))?.description
}

/// The function of this name in this image.
pub fn find(image: &str, name: &str) -> Result<BuiltIn, AlgorithmError> {
    let found = FUNCTIONS.iter().find(|(of_image, known, _)| *of_image == without_digest(image) && *known == name);
    found.map(|(.., function)| *function).ok_or_else(|| AlgorithmError::NoSuchFunction(name.to_owned()))
}

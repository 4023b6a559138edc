//! The REST API of vantage6 4.x. Field names and nesting are those of the official server's answers.

mod collaboration;
mod link;
mod node;
mod organization;
mod page;
mod run;
mod store;
mod task;
mod token;
mod user;

pub use collaboration::{Collaboration, Study};
pub use link::{Included, Link};
pub use node::{ConfigItem, LEFT_OUT, Node, SECOND_PROGRAM, STATION};
pub use organization::Organization;
pub use page::{ErrorBody, Page, PageLinks};
pub use run::{ResultItem, Run, RunNode, RunPatch, RunTask};
pub use store::{AllowedValue, Argument, Database, Function, StoreAlgorithm, StoreLink, Visualization};
pub use task::{NewTask, NewTaskOrganization, Task, TaskDatabase, TaskStatus};
pub use token::{ContainerToken, SignInReply, Tokens};
pub use user::{Permissions, Role, Rule, User};

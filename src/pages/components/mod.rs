//! Pieces that several pages share.

mod account_menu;
mod argument_list;
mod breadcrumbs;
mod field;
mod flash_message;
mod navigation;
mod node_policies;
mod node_state;
mod pagination;
mod permission_table;
mod room;
mod status_badge;
mod table_frame;
mod task_table;
mod time;

pub use account_menu::AccountMenu;
pub use argument_list::ArgumentList;
pub use breadcrumbs::Breadcrumbs;
pub use field::{FieldError, PASSWORD_RULES, TextArea, TextField};
pub use flash_message::FlashMessage;
pub use navigation::{Navigation, ReviewCount};
pub use node_policies::NodePolicies;
pub use node_state::{DatabaseList, NodeState, SecondProgram};
pub use pagination::Pagination;
pub use permission_table::PermissionTable;
pub use room::Room;
pub use status_badge::StatusBadge;
pub use table_frame::TableFrame;
pub use task_table::TaskTable;
pub use time::Time;

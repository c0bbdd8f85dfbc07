//! The command as a user types it: results, reports, and what it says and leaves when something is wrong.

mod desk;
mod ends;
mod refusals;
mod replay;
mod results;
mod scale;

//! The override table, the property of the single writer, and control with real
//! workers, files and directories.

mod commands;
mod files;
mod harness;
mod property;
mod state_dir;
mod table;

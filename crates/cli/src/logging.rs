//! What goes to stderr, and how much of it.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How much is said besides results.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Verbosity {
    /// Say only what needs attention; no bars.
    #[arg(short, long, global = true, display_order = 900, conflicts_with = "verbose")]
    quiet: bool,
    /// Say all there is, a line each; no bars.
    #[arg(short, long, global = true, display_order = 901, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Whether bars may be drawn.
static BARS: OnceLock<bool> = OnceLock::new();

impl Verbosity {
    fn level(self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::WARN,
            (false, 0) => Level::INFO,
            (false, _) => Level::DEBUG,
        }
    }

    /// From now on events up to this verbosity go to stderr, a sentence a line.
    pub(crate) fn begin(self) {
        let is_terminal = io::stderr().is_terminal();
        // Lines that come at any moment would tear a bar.
        BARS.get_or_init(|| is_terminal && self.level() == Level::INFO);
        let format = Sentence { coloured: is_terminal && may_colour(env::var_os("NO_COLOR")) };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(self.level())
            .with_writer(|| Stderr)
            .event_format(format)
            .finish();
        // It can be set once, and `main` does.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// Whether stderr is a terminal that bars may be drawn on.
pub(crate) fn may_draw_bars() -> bool {
    BARS.get().copied().unwrap_or(false)
}

/// <https://no-color.org>: present and not empty means no colour.
fn may_colour(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

/// stderr, which may be closed: no reason to stop working.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::Write::write_all(&mut io::stderr(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The message with its kind before it if it deserves attention, and fields behind it.
struct Sentence {
    coloured: bool,
}

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        write!(writer, "{}", prefix(level, self.coloured))?;
        let mut fields = Fields(writer, Ok(()));
        event.record(&mut fields);
        let Fields(mut writer, written) = fields;
        written?;
        writeln!(writer)
    }
}

fn prefix(level: Level, coloured: bool) -> String {
    let (word, colour) = match level {
        Level::ERROR => ("error", "31;1"),
        Level::WARN => ("warning", "33;1"),
        _ => return String::new(),
    };
    if coloured { format!("\u{1b}[{colour}m{word}\u{1b}[0m: ") } else { format!("{word}: ") }
}

struct Fields<'a>(Writer<'a>, fmt::Result);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, "  {name} {value:?}"),
        };
        self.1 = self.1.and(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_flags() {
        let level = |quiet, verbose| Verbosity { quiet, verbose }.level();

        assert_eq!(level(true, 0), Level::WARN);
        assert_eq!(
            [0, 1, 2, 9].map(|n| level(false, n)),
            [Level::INFO, Level::DEBUG, Level::DEBUG, Level::DEBUG]
        );
    }

    #[test]
    fn no_color_is_honoured_unless_empty() {
        assert!(may_colour(None) && may_colour(Some("".into())));
        assert!(!may_colour(Some("1".into())));
    }

    #[test]
    fn only_what_deserves_attention_has_a_prefix() {
        assert_eq!(prefix(Level::INFO, true), "");
        assert_eq!(prefix(Level::WARN, false), "warning: ");
        assert_eq!(prefix(Level::ERROR, true), "\u{1b}[31;1merror\u{1b}[0m: ");
    }
}

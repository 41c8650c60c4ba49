//! The page of metrics.

use super::{code, codes, table};
use crate::export::prometheus::metrics::{Kind, METRICS, Metric};

pub(super) fn write(page: &mut String) {
    page.push_str(
        "# Metrics\n\n\
         Served at `/metrics` as Prometheus text, OpenMetrics or protobuf, whichever the scraper asks for; histograms \
         have classic and, in protobuf, native buckets. In text a histogram has the series `_bucket`, `_sum` and \
         `_count`. Every series has all labels of its metric; one that does not apply is empty. What the observed \
         processes name themselves becomes a label only after an answer that shows that the name is real, and past \
         a limit it is `_other`.\n\n\
         A *stable* name is renamed only with a release in which the old one is there too. Those in *development* \
         follow OpenTelemetry's conventions for MCP and change with them.\n\n",
    );
    let (observer, observed): (Vec<&Metric>, Vec<&Metric>) =
        METRICS.iter().partition(|metric| metric.name.starts_with("mcp_observer_"));
    for (title, metrics) in [("Of what is observed", observed), ("Of the observer itself", observer)] {
        page.push_str(&format!("## {title}\n\n"));
        let row = |metric: &&Metric| {
            let help = metric.help.to_owned();
            [
                code(metric.name),
                metric.kind.name().into(),
                codes(metric.labels),
                help,
                metric.stability.name().into(),
            ]
        };
        table(page, ["Metric", "Type", "Labels", "Meaning", "Name is"], metrics.iter().map(row));
        page.push('\n');
    }
    page.push_str("## Buckets\n\n");
    let buckets = METRICS.iter().filter_map(|metric| match metric.kind {
        Kind::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
            Some([code(metric.name), bounds.join(" ")])
        }
        _ => None,
    });
    table(page, ["Histogram", "Upper bounds of the classic buckets"], buckets);
}

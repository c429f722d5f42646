//! Writes the samples of one scrape, family by family, as the catalog has them. Reads nothing and holds nothing.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use super::catalog::Metric;

/// A histogram as it stands: how many fell up to each bound and past the one before, the last bound being infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The sum of what was observed.
    pub sum: f64,
    /// How much was observed.
    pub count: u64,
    /// Bounds and counts.
    pub buckets: Vec<(f64, u64)>,
}

/// The answer to one scrape, while it is written.
#[derive(Debug)]
pub struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    /// An empty page.
    #[must_use]
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    fn begin<const N: usize>(&mut self, metric: &'static Metric<N>) -> Result<MetricEncoder<'_>, fmt::Error> {
        // The encoder adds the unit to the name itself.
        let (name, unit) = match metric.name.strip_suffix("_seconds") {
            Some(name) => (name, Some(&Unit::Seconds)),
            None => (metric.name, None),
        };
        self.0.encode_descriptor(name, metric.help, unit, metric.type_)
    }

    /// Writes a gauge.
    pub fn gauges<const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        samples: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric)?;
        for (values, value) in samples {
            if N == 0 {
                encoder.encode_gauge(&value)?;
            } else {
                encoder.encode_family(&labels(metric, values))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// Writes a counter.
    pub fn counters<const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        samples: impl IntoIterator<Item = ([String; N], u64)>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric)?;
        for (values, value) in samples {
            encoder.encode_family(&labels(metric, values))?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// Writes a histogram.
    pub fn histograms<const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        samples: impl IntoIterator<Item = ([String; N], Distribution)>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric)?;
        for (values, Distribution { sum, count, buckets }) in samples {
            encoder.encode_family(&labels(metric, values))?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// Writes what tells by its labels alone.
    pub fn info<const N: usize>(&mut self, metric: &'static Metric<N>, values: [String; N]) -> fmt::Result {
        self.begin(metric)?.encode_info(&labels(metric, values))
    }

    /// Writes a family of metrics that count in themselves.
    pub fn each<'m, const N: usize>(
        &mut self,
        metric: &'static Metric<N>,
        samples: impl IntoIterator<Item = ([String; N], &'m (impl EncodeMetric + 'm))>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric)?;
        for (values, counted) in samples {
            counted.encode(encoder.encode_family(&labels(metric, values))?)?;
        }
        Ok(())
    }

    /// Writes a family that the process counts in itself.
    pub fn counted<const N: usize>(&mut self, metric: &'static Metric<N>, family: &impl EncodeMetric) -> fmt::Result {
        debug_assert!(matches!(metric.type_, MetricType::Counter | MetricType::Histogram), "{}", metric.name);
        family.encode(self.begin(metric)?)
    }
}

fn labels<const N: usize>(metric: &'static Metric<N>, values: [String; N]) -> Vec<(&'static str, String)> {
    metric.labels.into_iter().zip(values).collect()
}

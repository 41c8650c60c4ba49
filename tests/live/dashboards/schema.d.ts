// A dashboard as it stands in a file, by Grafana's own types of dashboards, panels and their options.
import type { Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from '@grafana/schema';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// In JSON a member of an enumeration is its text.
type Json<T> = T extends string
  ? `${T}`
  : T extends (infer E)[]
    ? Json<E>[]
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;

// What is absent has its default, at each depth.
type Partly<T> = T extends (infer E)[] ? Partly<E>[] : T extends object ? { [K in keyof T]?: Partly<T[K]> } : T;

type Options<O> = Partly<Json<O>>;

type Field<F> = {
  defaults: Json<Omit<FieldConfig, 'custom'>> & { custom?: Options<F> };
  overrides: never[];
};

// Of the panel's own members `pluginVersion` and the like are Grafana's to write.
type Shown<T extends string, O, F> = Omit<Json<Omit<Panel, 'options' | 'fieldConfig' | 'targets'>>, 'type'> & {
  type: T;
  title: string;
  options: Options<O>;
  fieldConfig: Field<F>;
  targets: Target[];
};

// A question to Prometheus. Its type is in no package of Grafana's.
interface Target {
  refId: string;
  datasource: { type: 'prometheus'; uid: string };
  editorMode: 'code' | 'builder';
  expr: string;
  legendFormat: string;
  range: boolean;
  instant: boolean;
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
}

type AnyPanel =
  | Json<RowPanel>
  | Shown<'bargauge', BarGauge.Options, {}>
  | Shown<'heatmap', Heatmap.Options, Heatmap.FieldConfig>
  | Shown<'stat', Stat.Options, {}>
  | Shown<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>;

// A variable of the kind `query` has its query once more, as text.
type Variable = Json<VariableModel> & { definition?: string };

// The query of an annotation is Prometheus' own and not typed.
export type DashboardFile = Json<Omit<Dashboard, 'panels' | 'annotations' | 'templating'>> & {
  panels: AnyPanel[];
  annotations: { list: Record<string, unknown>[] };
  templating: { list: Variable[] };
};

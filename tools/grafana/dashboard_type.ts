// What Grafana says a dashboard is, for JSON instead of for objects in TypeScript.
import type { AnnotationQuery, Dashboard } from "@grafana/schema";

// Members of enumerations are strings there.
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// The part of an annotation query that belongs to its data source.
interface PrometheusAnnotation {
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
}

export type DashboardJson = Json<Omit<Dashboard, "annotations">> & {
  annotations: { list: (Json<AnnotationQuery> & PrometheusAnnotation)[] };
};

/** What a service does wrong to the functions that call it: never answers, or answers with this status. */
export type ServiceFault = { readonly hang: true } | { readonly status: number };

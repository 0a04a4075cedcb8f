/** What a flag has that may be repeated: an empty list by default, of which help says nothing. */
export const listed = {
  multiple: true as const,
  default: [] as string[],
  defaultHelp: () => Promise.resolve(undefined),
};

/** Something that is wrong with a scenario. */
export interface Problem {
  /** Below the scenario: ['steps', 2, 'kill']. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

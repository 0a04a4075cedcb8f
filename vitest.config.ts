import { defineConfig } from 'vitest/config';

// Integration and e2e start real servers on two cores: one file at a time keeps waits honest.
const servers = {
  pool: 'forks' as const,
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  // Vitest's own second is shorter than a copy on a busy machine. What never comes still fails.
  expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
  test: {
    projects: [
      // Property tests take seconds where the machine is busy: a limit is for what hangs, not for what is slow.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...servers } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...servers } },
      // Minutes, not seconds: npm run test:long; npm test leaves them out.
      {
        test: {
          name: 'long',
          include: ['test/long/**/*.long.test.ts'],
          ...servers,
          testTimeout: 3_600_000,
          disableConsoleIntercept: true,
        },
      },
    ],
  },
});
